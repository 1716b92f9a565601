/** For whom a call is made: the client itself, or the caller on the system bus that the D-Bus front end names. */
import { brokerError } from '../model/error_table.js';
import type { BrokerError } from '../model/errors.js';
import type { Subject } from '../model/subject.js';
import type { Sender } from '../varlink/broker_types.js';
import type { FdBag } from '../varlink/service.js';
import type { Broker } from './broker.js';
import type { ClientConnection } from './client_connection.js';
import { describePeer, gone, type Peer, type PeerIds } from './peer.js';
import { pidOfPidfd, readGroups, type ProcessFacts } from './proc.js';

export interface Caller {
  readonly peer: Peer;
  /** Unique name on the system bus; null: the client speaks for itself. */
  readonly busName: string | null;
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
export function vetCaller(
  broker: Broker,
  client: ClientConnection,
  sender: Sender | undefined,
  fds: FdBag,
  targets = 0,
): Caller {
  const { subject } = client;
  if (sender === undefined) {
    // `admitMessage` took the first.
    broker.charge(subject, targets - 1);
    return { peer: client.peer, busName: null };
  }
  if (!broker.isFrontEnd(subject))
    throw brokerError('PolicyDenied', 'not-front-end', `uid ${subject.uid} may not speak for somebody else`, {
      details: { reasons: [] },
    });
  if (!UNIQUE_NAME.test(sender.busName)) throw wrong('its name is no unique name of a bus');
  if (sender.uid < 0 || sender.uid >= 2 ** 32 - 1) throw wrong(`${sender.uid} is no uid`);
  broker.charge(sender, Math.max(1, targets));
  const pidfd = fds.take(sender.pidfd);
  try {
    const pid = pidOfPidfd(pidfd);
    if (pid === 'not-a-pidfd' || pid === 'foreign')
      throw wrong(pid === 'foreign' ? 'its process is outside the pid namespace of the broker' : 'its fd is no pidfd');
    if (pid === 'gone') throw gone(0);
    return { peer: describePeer(pid, pidfd, (facts) => idsOf(facts, sender.uid)), busName: sender.busName };
  } finally {
    fds.close(pidfd);
  }
}

/** The group is the real one: it stays what it was, whatever set-group-id program runs where the connection was made. */
function idsOf({ pid, uids: [real, effective], gids: [gid] }: ProcessFacts, uid: number): PeerIds {
  if (real !== uid && effective !== uid) throw wrong(`its process does not run as uid ${uid}`);
  const groups = readGroups(pid);
  if (groups === null) throw gone(pid);
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
