import { brokerError } from '../../model/errors/error_table.js';
import type { BrokerError } from '../../model/errors/errors.js';
import type { Subject } from '../../model/identity/subject.js';
import type { SubordinateUids } from '../../model/identity/subordinate_uids.js';
import { native, type Fd, type NativeError, type PeerCredentials } from '../../native.js';
import { OTHER_IDS } from '../../policy/decide/obstacles.js';
import { readCaller, readProcess, type CallerFacts } from './proc.js';

/** A vetted client. */
export interface Peer {
  readonly subject: Subject;
  /** True when it is in the pid namespace of the broker: the pids that it sends are the broker's pids. */
  readonly samePidNamespace: boolean;
}

/**
 * The client as reported by the kernel: its credentials at connect(2), and the process pinned by SO_PEERPIDFD, however much later this is
 * called. A process without the uid that it connected with is refused. A kernel before 6.5 has no SO_PEERPIDFD: there a pidfd of the pid
 * is opened. A recycled pid of the same uid stays possible there until the first message comes. It gains nothing that this uid does not
 * have.
 * @throws BrokerError client-gone, access, pid-namespace
 */
export function vetPeer(connection: Fd, subordinateUids: SubordinateUids): Peer {
  const credentials = native.peerCredentials(connection);
  if (credentials.pid <= 0)
    throw brokerError('InvalidTarget', 'pid-namespace', 'the caller is outside the pid namespace of the broker');
  if (credentials.pidfd === 'reaped') throw gone(credentials.pid);
  const pidfd = credentials.pidfd === 'unsupported' ? openPidfd(credentials.pid) : credentials.pidfd;
  try {
    return describePeer(credentials.pid, pidfd, subordinateUids, (facts) => {
      if (!facts.uids.includes(credentials.uid)) throw native.pidfdAlive(pidfd) ? otherIds() : gone(credentials.pid);
      return credentials;
    });
  } finally {
    native.close(pidfd);
  }
}

/** Ids under which a process connected. */
export type SpeakingIds = Pick<PeerCredentials, 'uid' | 'gid' | 'groups'>;

/**
 * @param pidfd of the process; stays the caller's
 * @param idsOf from what is read of the process, before it is certain that it was this one
 * @throws BrokerError client-gone
 */
export function describePeer(
  pid: number,
  pidfd: Fd,
  subordinateUids: SubordinateUids,
  idsOf: (facts: CallerFacts) => SpeakingIds,
): Peer {
  const facts = readCaller(pid);
  if (facts === null) throw gone(pid);
  const ids = idsOf(facts);
  // Checked after reading: the facts are those of this process, not of a later one with its pid.
  if (!native.pidfdAlive(pidfd)) throw gone(pid);
  const asConnected = isAsConnected(facts, ids);
  const subject: Subject = {
    pid,
    startTime: facts.startTime,
    uid: ids.uid,
    gid: ids.gid,
    groups: ids.groups,
    // A client may connect, hand the socket to a child and exec a setuid program: its new capabilities are not the
    // child's. They count only while every id is the one that connected.
    permitted: asConnected && facts.dumpable ? facts.permitted : 0n,
    sameUserNamespace: facts.sameUserNamespace,
    asConnected,
    ownIds: hasIds(facts, ids),
    dumpable: facts.dumpable,
    mayBeMany: subordinateUids.mayBeMany({ uid: ids.uid, sameUserNamespace: facts.sameUserNamespace }),
    cgroup: facts.cgroup,
    executable: facts.executable,
    ...(facts.unit === undefined ? {} : { unit: facts.unit }),
  };
  return { subject: Object.freeze(subject), samePidNamespace: facts.namespacePids.length === ownDepth() };
}

/** True while the subject's process exists. */
export function isAlive({ pid, startTime }: Subject): boolean {
  return readProcess(pid)?.startTime === startTime;
}

/**
 * The two differ when the process has changed its ids since, and when it connected with the credentials of another process: a
 * child in a user namespace lends them to a ring that both use (IORING_REGISTER_PERSONALITY, io_uring_register(2)).
 * SO_PEERPIDFD then names the process that connected, which is in our namespace, and the groups of the connection are the child's.
 */
function isAsConnected(facts: CallerFacts, { uid, gid, groups }: SpeakingIds): boolean {
  return hasIds(facts, { uid, gid }) && isSameSet(new Set(facts.groups), new Set(groups));
}

function hasIds({ uids, gids }: CallerFacts, { uid, gid }: Pick<SpeakingIds, 'uid' | 'gid'>): boolean {
  return uids.every((id) => id === uid) && gids.every((id) => id === gid);
}

function isSameSet(some: ReadonlySet<number>, others: ReadonlySet<number>): boolean {
  return some.size === others.size && [...some].every((id) => others.has(id));
}

let depth: number | undefined;
function ownDepth(): number {
  return (depth ??= readProcess(process.pid)?.namespacePids.length ?? 1);
}

function openPidfd(pid: number): Fd {
  try {
    return native.pidfdOpen(pid);
  } catch (error) {
    throw (error as NativeError).code === 'ESRCH' ? gone(pid) : error;
  }
}

/** @param pid null when the kernel no longer reports it */
export function gone(pid: number | null): BrokerError {
  const who = pid === null ? 'the caller' : `the caller (pid ${pid})`;
  return brokerError('TargetGone', 'client-gone', `${who} ended while it was being identified`);
}

/**
 * The error for a connection that a helper process does not take for one of our listener's. The broker sends no other connections. So the
 * client has bound its end to a name (identify_client in native/core/client.cc).
 */
export function boundSocket(helper: 'opener' | 'tracer'): BrokerError {
  const text = `the ${helper} does not accept the connection of the caller: its socket is bound to a name`;
  return brokerError('InvalidTarget', 'bound-socket', text);
}

function otherIds(): BrokerError {
  const { text, remedy } = OTHER_IDS;
  return brokerError('PolicyDenied', 'access', text, { remedy, details: { reasons: [] } });
}
