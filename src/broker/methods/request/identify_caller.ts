/** Identifies the process that a call is made for: the client itself, or the caller on the system bus that the D-Bus front end names. */
import { brokerError } from '../../../model/errors/error_table.js';
import type { BrokerError } from '../../../model/errors/errors.js';
import type { Subject } from '../../../model/identity/subject.js';
import type { Sender } from '../../../interfaces/broker_types.js';
import type { Caller } from '../../processes/caller.js';
import { describePeer, gone, type SpeakingIds } from '../../processes/peer.js';
import { pidOfPidfd, type CallerFacts } from '../../processes/proc.js';
import type { RequestContext, WorkCall } from './context.js';

export type { Caller } from '../../processes/caller.js';

type CallerContext = Pick<RequestContext, 'admitSender' | 'charge' | 'isFrontEnd'> & {
  readonly dependencies: Pick<RequestContext['dependencies'], 'subordinateUids'>;
};

/** Unique name of a bus connection: `:1.42`. */
const UNIQUE_NAME = /^:\d{1,10}\.\d{1,20}$/;

/**
 * Charges the request to the user of its caller. The front end vouches for uid and name. The check that the pidfd is that of a live
 * process under this uid is done here.
 * @param sender as the request has it; only the front end may send one
 * @param targets number of targets that the request names
 * @throws BrokerError
 */
export function identifyCaller(
  context: CallerContext,
  call: Pick<WorkCall, 'context' | 'fds' | 'work'>,
  sender: Sender | undefined,
  targets = 0,
): Caller {
  const { context: client, fds, work } = call;
  const { subject } = client;
  if (sender === undefined) {
    // `admitMessage` took the token for the first target.
    const more = Math.max(0, targets - 1);
    context.charge(subject, more);
    if (!context.isFrontEnd(subject)) work.payBy(subject.uid, more);
    return { peer: client.peer, busName: null, work };
  }
  if (!context.isFrontEnd(subject))
    throw brokerError(
      'PolicyDenied',
      'not-front-end',
      `uid ${subject.uid} may not name another process as the caller`,
      {
        details: { reasons: [] },
      },
    );
  if (!UNIQUE_NAME.test(sender.busName)) throw wrong('its name is not a unique name of a bus');
  if (sender.uid < 0 || sender.uid >= 2 ** 32 - 1) throw wrong(`${sender.uid} is not a uid`);
  const cost = Math.max(1, targets);
  context.admitSender(sender, cost);
  work.payBy(sender.uid, cost);
  const pidfd = fds.take(sender.pidfd);
  try {
    const pid = pidOfPidfd(pidfd);
    if (pid === 'not-a-pidfd') throw wrong('its fd is not a pidfd');
    if (pid === 'foreign') throw wrong('its process is outside the pid namespace of the broker');
    if (pid === 'gone') throw gone(null);
    const peer = describePeer(pid, pidfd, context.dependencies.subordinateUids, (facts) => idsOf(facts, sender.uid));
    return { peer, busName: sender.busName, work };
  } finally {
    fds.close(pidfd);
  }
}

/** The group is the real one: a set-group-id program does not change it before it connects. */
function idsOf({ uids: [real, effective], gids: [gid], groups }: CallerFacts, uid: number): SpeakingIds {
  if (real !== uid && effective !== uid) throw wrong(`its process does not run as uid ${uid}`);
  return { uid, gid, groups };
}

function wrong(how: string): BrokerError {
  return brokerError('InvalidTarget', 'sender', `the sender is refused: ${how}`);
}

/** Facts about the caller for an audit record. Empty for a client that calls for itself: it is the subject of the record. */
export function callerFacts({ busName }: Caller): Record<string, unknown> {
  return busName === null ? {} : { busName };
}

export function subjectOf({ peer }: Caller): Subject {
  return peer.subject;
}
