/** Pins the targets that a client names: each becomes a pidfd or a checked cgroup directory. */
import { constants, openSync, readFileSync, readlinkSync } from 'node:fs';
import { Rollback } from '../../common/rollback.js';
import { brokerError } from '../../model/errors/error_table.js';
import type { BrokerError } from '../../model/errors/errors.js';
import { fdShortage } from '../../model/errors/kernel_refused.js';
import type { ProcessIdentity, Target } from '../../model/identity/target.js';
import { native, type Fd } from '../../native.js';
import type { Target as TargetParameter } from '../../interfaces/broker_types.js';
import type { FdBag } from '../../varlink/service.js';
import type { Mismatch } from '../ipc/opener_protocol.js';
import type { Peer } from './peer.js';
import { hasThread, pidOfPidfd, readProcess, type ProcessFacts } from './proc.js';
import type { Caller } from './caller.js';
import type { Work } from '../fairness/work.js';

/** A pinned target. `fd` belongs to the holder of the object; {@link releaseTargets} closes it. */
export type PinnedTarget =
  | {
      readonly kind: 'process';
      readonly fd: Fd;
      readonly process: ProcessFacts;
      /** One thread; null: all of them. */
      readonly tid: number | null;
    }
  | { readonly kind: 'system'; readonly fd: null }
  | { readonly kind: 'cgroup'; readonly fd: Fd; readonly path: string };

export type ProcessTarget = PinnedTarget & { readonly kind: 'process' };

export function describeTarget(target: PinnedTarget): Target {
  switch (target.kind) {
    case 'process':
      return { kind: 'process', process: target.process, threads: target.tid === null ? 'all' : 'one' };
    case 'system':
      return { kind: 'system' };
    case 'cgroup':
      return { kind: 'cgroup', path: target.path };
  }
}

export function targetName(target: PinnedTarget): string {
  switch (target.kind) {
    case 'process':
      return `pid ${target.process.pid}${target.tid === null ? '' : ` thread ${target.tid}`} ${target.process.executable}`;
    case 'system':
      return 'system';
    case 'cgroup':
      return `cgroup ${target.path}`;
  }
}

/** For the audit log. */
export function processFacts({ process, tid }: ProcessTarget): Record<string, unknown> {
  return {
    pid: process.pid,
    startTime: String(process.startTime),
    uid: process.uids[0],
    executable: process.executable,
    cgroup: process.cgroup,
    ...(tid === null ? {} : { tid }),
  };
}

/** The error for a target whose identity has changed since the decision, as opener or tracer found. */
export function targetChanged(who: string, mismatch: readonly Mismatch[]): BrokerError {
  return brokerError(
    'TargetChanged',
    mismatch[0] ?? 'start-time',
    `${who} has changed since the decision (${mismatch.join(', ')})`,
  );
}

/**
 * Checks that every process still has the identity of the decision. The opener and the tracer check again by themselves.
 * @throws BrokerError TargetGone, TargetChanged
 */
export async function recheckTargets(targets: readonly PinnedTarget[], work: Work): Promise<void> {
  // Targets of one request with the same pid are the same process, see `lookUp`.
  const rechecked = new Set<number>();
  for (const target of targets) {
    if (target.kind !== 'process' || rechecked.has(target.process.pid)) continue;
    if (work.turnIsOver) await work.nextTurn();
    work.timed(() => recheckTarget(target));
    rechecked.add(target.process.pid);
  }
}

function recheckTarget({ fd, process: before }: ProcessTarget): void {
  const now = readProcess(before.pid);
  if (now === null || !native.pidfdAlive(fd))
    throw brokerError('TargetGone', 'exited', `process ${before.pid} ended in the meantime`);
  const mismatch = mismatches(before, now);
  if (mismatch.length > 0) throw targetChanged(`process ${before.pid}`, mismatch);
  if (before.executable !== now.executable || before.cgroup !== now.cgroup)
    throw brokerError(
      'TargetChanged',
      'executable',
      `process ${before.pid} has changed its program or its cgroup since the decision`,
    );
}

function mismatches(before: ProcessFacts, now: ProcessFacts): readonly Mismatch[] {
  const differ: Readonly<Record<Exclude<Mismatch, 'thread'>, boolean>> = {
    'start-time': before.startTime !== now.startTime,
    uid: before.uids.some((uid, index) => uid !== now.uids[index]),
    gid: before.gids.some((gid, index) => gid !== now.gids[index]),
    capabilities: before.permitted !== now.permitted,
    'not-dumpable': before.dumpable !== now.dumpable,
    'user-namespace': before.sameUserNamespace !== now.sameUserNamespace,
  };
  return (Object.keys(differ) as (keyof typeof differ)[]).filter((name) => differ[name]);
}

/** Targets of one request. More are refused before any is read. */
export const MAX_TARGETS = 256;

type Vetted = Pick<Caller, 'peer' | 'work'>;

/** Processes of the request that are pinned already, by pid. */
type Known = Map<number, ProcessTarget>;

/**
 * Pins every target, in turns with other requests. On an error it closes those that it has pinned.
 * @throws BrokerError
 */
export async function pinTargets(
  parameters: readonly TargetParameter[],
  fds: FdBag,
  { peer, work }: Vetted,
): Promise<PinnedTarget[]> {
  if (parameters.length === 0) throw brokerError('InvalidTarget', 'no-targets', 'the request names no target');
  if (parameters.length > MAX_TARGETS)
    throw brokerError('InvalidTarget', 'too-many-targets', `${parameters.length} targets; at most ${MAX_TARGETS}`);
  const pinned: PinnedTarget[] = [];
  using pins = new Rollback(() => releaseTargets(pinned));
  const known: Known = new Map();
  for (const parameter of parameters) {
    if (work.turnIsOver) await work.nextTurn();
    const target = work.timed(() => pinTarget(parameter, fds, peer, known));
    pinned.push(target);
    if (target.kind === 'process') known.set(target.process.pid, target);
  }
  pins.keep();
  return pinned;
}

/** The whole process that is the one target of a downgrade. @throws BrokerError target-kind */
export function onlyProcess(targets: readonly PinnedTarget[]): ProcessTarget {
  const [target] = targets;
  if (target?.kind !== 'process' || target.tid !== null || targets.length !== 1)
    throw brokerError('DowngradeRefused', 'target-kind', 'a downgrade takes one whole process, with all its threads');
  return target;
}

export function releaseTargets(targets: readonly PinnedTarget[]): void {
  for (const target of targets) if (target.fd !== null) native.close(target.fd);
}

function pinTarget(parameter: TargetParameter, fds: FdBag, peer: Peer, known: Known): PinnedTarget {
  const allowed = { process: ['pid', 'pidfd', 'tid', 'threads'], system: [], cgroup: ['directory'] }[
    parameter.kind
  ] as readonly string[];
  for (const [field, value] of Object.entries(parameter))
    if (field !== 'kind' && value !== undefined && value !== null && !allowed.includes(field))
      throw brokerError('InvalidTarget', 'conflict', `${field} does not belong to a target of kind ${parameter.kind}`);
  switch (parameter.kind) {
    case 'process':
      return pinProcess(parameter, fds, peer, known);
    case 'system':
      return { kind: 'system', fd: null };
    case 'cgroup':
      return pinCgroup(parameter, fds);
  }
}

function pinProcess(parameter: TargetParameter, fds: FdBag, peer: Peer, known: Known): PinnedTarget {
  const fd = takePidfd(parameter, fds, peer);
  using pin = new Rollback(() => fds.close(fd));
  const pid = pidOfPidfd(fd);
  if (pid === 'not-a-pidfd')
    throw brokerError('InvalidTarget', 'not-a-pidfd', 'the fd sent for a process is not a pidfd');
  if (pid === 'foreign')
    throw brokerError('InvalidTarget', 'pid-namespace', 'the process is outside the pid namespace of the broker');
  const process = pid === 'gone' ? null : lookUp(pid, known);
  if (process === null || !native.pidfdAlive(fd)) throw brokerError('TargetGone', 'exited', 'the process has ended');
  if (process.threadGroup !== process.pid)
    throw brokerError(
      'InvalidTarget',
      'wrong-thread',
      `${process.pid} is a thread of ${process.threadGroup}: name the process, and the thread by tid`,
    );
  const tid = pickThread(parameter, process, peer);
  pin.keep();
  return { kind: 'process', fd, process: Object.freeze(process), tid };
}

/**
 * Reads a process once for each request, however many of its threads the request names. While the process that was read before is alive,
 * the pid is its pid, and a pidfd of this pid is a pidfd of that process.
 */
function lookUp(pid: number, known: Known): ProcessFacts | null {
  const before = known.get(pid);
  return before !== undefined && native.pidfdAlive(before.fd) ? before.process : readProcess(pid);
}

function takePidfd(parameter: TargetParameter, fds: FdBag, peer: Peer): Fd {
  const { pid, pidfd } = parameter;
  if ((pid === undefined) === (pidfd === undefined))
    throw brokerError('InvalidTarget', 'conflict', 'a process target needs either pid or pidfd');
  if (pidfd !== undefined) return fds.take(pidfd);
  if (!peer.samePidNamespace)
    throw brokerError('InvalidTarget', 'pid-namespace', `pid ${pid} is of another pid namespace`);
  if (pid === undefined || pid <= 0 || pid > 0x7fff_ffff)
    throw brokerError('InvalidTarget', 'bad-value', `${pid} is not a pid`);
  try {
    return native.pidfdOpen(pid);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ESRCH') throw brokerError('TargetGone', 'no-such-process', `there is no process ${pid}`);
    if (code === 'EINVAL' || code === 'ENOENT')
      throw brokerError('InvalidTarget', 'wrong-thread', `${pid} is a thread, not a process`);
    throw error;
  }
}

function pickThread(parameter: TargetParameter, process: ProcessIdentity, peer: Peer): number | null {
  if (parameter.tid === undefined) return parameter.threads === 'leader' ? process.pid : null;
  if (parameter.threads !== undefined)
    throw brokerError('InvalidTarget', 'conflict', 'tid and threads exclude each other');
  if (!peer.samePidNamespace)
    throw brokerError('InvalidTarget', 'pid-namespace', `tid ${parameter.tid} is of another pid namespace`);
  if (!hasThread(process.pid, parameter.tid))
    throw brokerError('TargetGone', 'no-such-thread', `process ${process.pid} has no thread ${parameter.tid}`);
  return parameter.tid;
}

function pinCgroup(parameter: TargetParameter, fds: FdBag): PinnedTarget {
  if (parameter.directory === undefined)
    throw brokerError('InvalidTarget', 'conflict', 'a cgroup target needs directory, the index of an fd');
  const sent = fds.take(parameter.directory);
  try {
    const cgroup = openCgroup(sent);
    if (cgroup !== null) return { kind: 'cgroup', ...cgroup };
  } finally {
    fds.close(sent);
  }
  throw brokerError(
    'InvalidTarget',
    'not-a-cgroup',
    'the fd sent for a cgroup is not a directory of a cgroup file system that the broker can see under the same name',
  );
}

/**
 * Opens the directory of a client's fd again, and returns it with its path below the broker's own cgroup mount; null when it is not there.
 * The opener checks the file system itself.
 *
 * The name of an fd is that of the mount namespace in which it was opened, where its owner can bind anything to any name. So the name is
 * only a hint: the broker looks it up itself, requires the same inode number, and opens what it found. It never asks the file system
 * behind the client's fd, which may be a FUSE file system that does not answer.
 */
function openCgroup(sent: Fd): { readonly fd: Fd; readonly path: string } | null {
  const directory = readlinkSync(`/proc/self/fd/${sent}`);
  let mount: string | null = null;
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const [before = '', after = ''] = line.split(' - ');
    if (!/^cgroup2? /.test(after)) continue;
    const mountPoint = before.split(' ')[4] ?? '';
    if (
      (directory === mountPoint || directory.startsWith(`${mountPoint}/`)) &&
      mountPoint.length > (mount?.length ?? 0)
    )
      mount = mountPoint;
  }
  if (mount === null) return null;
  let fd: Fd;
  try {
    fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  } catch (error) {
    if (fdShortage(error) !== null) throw error;
    return null;
  }
  if (inodeOf(fd) === inodeOf(sent)) return { fd, path: directory.slice(mount.length) || '/' };
  native.close(fd);
  return null;
}

/** The inode number as the kernel has cached it (fdinfo, Linux 5.14). */
function inodeOf(fd: Fd): string {
  const inode = /^ino:\t(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1];
  if (inode === undefined) throw new Error('this kernel has no inode numbers in fdinfo');
  return inode;
}
