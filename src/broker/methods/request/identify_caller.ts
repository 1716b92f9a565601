/** For whom a call is made: the client itself, or the caller on the system bus that the D-Bus front end names. */
import { brokerError } from '../../../model/errors/error_table.js';
import type { BrokerError } from '../../../model/errors/errors.js';
import type { Subject } from '../../../model/identity/subject.js';
import type { Sender } from '../../../interfaces/broker_types.js';
import type { Call } from '../../../varlink/service.js';
import type { Broker } from '../../broker.js';
import type { ClientConnection } from '../../processes/client_connection.js';
import type { Caller } from '../../processes/caller.js';
import { describePeer, gone, type SpeakingIds } from '../../processes/peer.js';
import { pidOfPidfd, type CallerFacts } from '../../processes/proc.js';
import type { Work } from '../../fairness/work.js';

export type { Caller } from '../../processes/caller.js';

/** A call, and the work that is done for it. */
export interface WorkCall extends Call<ClientConnection> {
  readonly work: Work;
}

/** What the bus gives every connection: `:1.42`. */
const UNIQUE_NAME = /^:\d{1,10}\.\d{1,20}$/;

/**
 * Charges the request to whoever it is made for. The front end vouches for uid and name; that the pidfd is that of a live
 * process under this uid is checked here.
 * @param sender as the request has it; only the front end may send one
 * @param targets that the request names
 * @throws BrokerError
 */
export function vetCaller(broker: Broker, call: WorkCall, sender: Sender | undefined, targets = 0): Caller {
  const { context: client, fds, work } = call;
  const { subject } = client;
  if (sender === undefined) {
    // `admitMessage` took the first.
    const more = Math.max(0, targets - 1);
    broker.charge(subject, more);
    if (!broker.isFrontEnd(subject)) work.payBy(subject.uid, more);
    return { peer: client.peer, busName: null, work };
  }
  if (!broker.isFrontEnd(subject))
    throw brokerError('PolicyDenied', 'not-front-end', `uid ${subject.uid} may not speak for somebody else`, {
      details: { reasons: [] },
    });
  if (!UNIQUE_NAME.test(sender.busName)) throw wrong('its name is no unique name of a bus');
  if (sender.uid < 0 || sender.uid >= 2 ** 32 - 1) throw wrong(`${sender.uid} is no uid`);
  const cost = Math.max(1, targets);
  broker.charge(sender, cost);
  work.payBy(sender.uid, cost);
  const pidfd = fds.take(sender.pidfd);
  try {
    const pid = pidOfPidfd(pidfd);
    if (pid === 'not-a-pidfd' || pid === 'foreign')
      throw wrong(pid === 'foreign' ? 'its process is outside the pid namespace of the broker' : 'its fd is no pidfd');
    if (pid === 'gone') throw gone(0);
    const peer = describePeer(pid, pidfd, broker.dependencies.subordinateUids, (facts) => idsOf(facts, sender.uid));
    return { peer, busName: sender.busName, work };
  } finally {
    fds.close(pidfd);
  }
}

/** The group is the real one: it stays what it was, whatever set-group-id program runs where the connection was made. */
function idsOf({ uids: [real, effective], gids: [gid], groups }: CallerFacts, uid: number): SpeakingIds {
  if (real !== uid && effective !== uid) throw wrong(`its process does not run as uid ${uid}`);
  return { uid, gid, groups };
}

function wrong(how: string): BrokerError {
  return brokerError('InvalidTarget', 'sender', `the sender is refused: ${how}`);
}

/** For audit records: the client's own connection says as much by itself. */
export function callerFacts({ busName }: Caller): Record<string, unknown> {
  return busName === null ? {} : { busName };
}

export function subjectOf({ peer }: Caller): Subject {
  return peer.subject;
}
