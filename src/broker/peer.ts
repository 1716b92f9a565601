import { brokerError } from '../model/error_table.js';
import type { Subject } from '../model/subject.js';
import { native, type Fd, type PeerCredentials } from '../native.js';
import { readProcess, type ProcessFacts } from './proc.js';

/** A vetted client. */
export interface Peer {
  readonly subject: Subject;
  /** Pid numbers it sends mean what they mean to us. */
  readonly samePidNamespace: boolean;
}

/**
 * Who is at the other end, by the kernel's word alone: credentials as of connect(2), and the process pinned by
 * SO_PEERPIDFD. Where the kernel has none (before 6.5) a pidfd of the pid is opened and the process must still have the
 * uid it connected with; a recycled pid of the same uid stays possible there, and gives nothing that this uid has not.
 */
export function vetPeer(connection: Fd): Peer {
  const credentials = native.peerCredentials(connection);
  if (credentials.pid <= 0)
    throw brokerError('InvalidTarget', 'pid-namespace', 'the caller is outside the pid namespace of the broker');
  if (credentials.pidfd === 'reaped') throw gone(credentials.pid);
  const pidfd = credentials.pidfd === 'unsupported' ? openPidfd(credentials.pid) : credentials.pidfd;
  try {
    const facts = readProcess(credentials.pid);
    // Read first, asked whether it is alive afterwards: what was read was this process and no later one.
    if (facts === null || !native.pidfdAlive(pidfd)) throw gone(credentials.pid);
    if (!facts.uids.includes(credentials.uid)) throw gone(credentials.pid);
    const subject: Subject = {
      pid: credentials.pid,
      startTime: facts.startTime,
      uid: credentials.uid,
      gid: credentials.gid,
      groups: credentials.groups,
      // A client may connect, hand the socket to a child and exec a setuid program: its new capabilities are not the
      // child's. They count only while every id is the one that connected.
      permitted: isAsConnected(facts, credentials) ? facts.permitted : 0n,
      sameUserNamespace: facts.sameUserNamespace,
      cgroup: facts.cgroup,
      executable: facts.executable,
      ...(facts.unit === undefined ? {} : { unit: facts.unit }),
    };
    return { subject: Object.freeze(subject), samePidNamespace: facts.namespacePids.length === ownDepth() };
  } finally {
    native.close(pidfd);
  }
}

function isAsConnected(facts: ProcessFacts, { uid, gid }: PeerCredentials): boolean {
  return facts.dumpable && facts.uids.every((id) => id === uid) && facts.gids.every((id) => id === gid);
}

let depth: number | undefined;
function ownDepth(): number {
  return (depth ??= readProcess(process.pid)?.namespacePids.length ?? 1);
}

function openPidfd(pid: number): Fd {
  try {
    return native.pidfdOpen(pid);
  } catch {
    throw gone(pid);
  }
}

function gone(pid: number): Error {
  return brokerError('TargetGone', 'client-gone', `the caller (pid ${pid}) ended while it was being identified`);
}
