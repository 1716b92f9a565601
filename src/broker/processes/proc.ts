/**
 * Reads other processes in /proc without privileges. Every function is synchronous: it reads a few world-readable files without a disk behind
 * them. The process that is read controls how long the kernel takes, so the time is charged to the user of the request (`Work`).
 */
import { closeSync, fstatSync, openSync, readFileSync, readdirSync, readlinkSync, readSync, statSync } from 'node:fs';
import { brokerError } from '../../model/errors/error_table.js';
import type { IdTriple, ProcessIdentity } from '../../model/identity/target.js';
import { unitOfCgroup } from '../../policy/decide/cgroup.js';

/** Facts of one process; policy sees some of them. */
export interface ProcessFacts extends ProcessIdentity {
  /** Pids of the thread in each pid namespace from the broker's down to its own. */
  readonly namespacePids: readonly number[];
  readonly threadGroup: number;
  /** Threads of its process. */
  readonly threads: number;
  /** systemd unit, when the cgroup path names one. */
  readonly unit: string | undefined;
}

/** Facts of a process that makes a request. The groups of a target, which may be thousands, are not read: no rule needs them. */
export interface CallerFacts extends ProcessFacts {
  /** Supplementary groups. */
  readonly groups: readonly number[];
}

/**
 * @returns null when the process does not exist
 * @throws InvalidTarget too-many-groups
 */
export function readProcess(pid: number): ProcessFacts | null {
  return unlessGone(() => factsOf(pid, readStatus(pid)));
}

/**
 * @returns null when the process does not exist
 * @throws InvalidTarget too-many-groups
 */
export function readCaller(pid: number): CallerFacts | null {
  return unlessGone(() => {
    const status = readStatus(pid);
    return { ...factsOf(pid, status), groups: groupsOf(status) };
  });
}

/**
 * The status file has been read before uid_map is, and that order matters. In a user namespace of its own a process can drop
 * its groups, and it cannot come back out (setns(2) needs CAP_SYS_ADMIN in the namespace it enters: userns_install,
 * kernel/user_namespace.c). So groups that were dropped there never come with the uid_map of our namespace.
 */
function factsOf(pid: number, { text: status, owner }: StatusFile): ProcessFacts {
  const directory = `/proc/${pid}`;
  // As UTF-8, which node reads in one go: half the time of any other encoding. Only names can be anything but UTF-8.
  const stat = readStat(pid);
  const uids = idTriple(statusField(status, 'Uid'));
  const gids = idTriple(statusField(status, 'Gid'));
  const cgroup = readCgroup(directory);
  return {
    pid,
    startTime: startTime(stat),
    uids,
    gids,
    permitted: BigInt(`0x${statusField(status, 'CapPrm')}`),
    // The files in /proc/PID belong to the task's effective ids while it is dumpable, to root when it is not. The
    // directory itself always belongs to the effective ids (task_dump_owner, fs/proc/base.c).
    dumpable: owner.uid === uids[1] && owner.gid === gids[1],
    sameUserNamespace: readFileSync(`${directory}/uid_map`, 'utf8') === ownUidMap(),
    executable: executableOf(directory, stat, uids),
    cgroup,
    namespacePids: statusField(status, 'NSpid').split(/\s+/).map(Number),
    threadGroup: Number(statusField(status, 'Tgid')),
    threads: Number(statusField(status, 'Threads')),
    unit: unitOfCgroup(cgroup),
  };
}

function groupsOf({ text }: StatusFile): readonly number[] {
  const line = statusField(text, 'Groups', true);
  return line === '' ? [] : line.split(/\s+/).map((group) => requiredNumber(Number(group)));
}

interface StatusFile {
  readonly text: string;
  readonly owner: { readonly uid: number; readonly gid: number };
}

/**
 * The opener's buffer for a status file (text_buffer in native/core/proc.h): some 5,000 supplementary groups fill it. The opener
 * refuses a longer file, and so does the broker, before it parses the text.
 */
const MAX_STATUS_BYTES = 64 * 1024;
const statusBuffer = Buffer.alloc(MAX_STATUS_BYTES);

/** The kernel formats the whole file for the first read of it, and one read gets all that fits. */
function readStatus(pid: number): StatusFile {
  const fd = openSync(`/proc/${pid}/status`, 'r');
  try {
    const length = readSync(fd, statusBuffer, 0, MAX_STATUS_BYTES, 0);
    if (length === MAX_STATUS_BYTES)
      throw brokerError(
        'InvalidTarget',
        'too-many-groups',
        `/proc/${pid}/status is longer than ${MAX_STATUS_BYTES} bytes: the process has too many supplementary groups`,
      );
    return { text: statusBuffer.toString('utf8', 0, length), owner: fstatSync(fd) };
  } finally {
    closeSync(fd);
  }
}

/**
 * The stat file of the process's first thread. /proc/PID/stat has the same name, parent and start time, but sums the times of
 * every thread for it: 18 ms for 30,000 threads (do_task_stat, fs/proc/array.c, Linux 6.18).
 */
export function readStat(pid: number): string {
  return readFileSync(`/proc/${pid}/task/${pid}/stat`, 'utf8');
}

/** Thread ids of a process in ascending order; null when it has ended. */
export function readThreads(pid: number): readonly number[] | null {
  return unlessGone(() =>
    readdirSync(`/proc/${pid}/task`)
      .map(Number)
      .sort((a, b) => a - b),
  );
}

/**
 * Looked up, not listed: a process may have tens of thousands of threads, and one request hundreds of targets.
 * @returns true while the process has this thread
 */
export function hasThread(pid: number, tid: number): boolean {
  try {
    return tid > 0 && statSync(`/proc/${pid}/task/${tid}`).isDirectory();
  } catch (error) {
    if (isGone(error)) return false;
    throw error;
  }
}

/**
 * The process a pidfd refers to, in our pid namespace.
 * @returns the pid; 'gone' when the process was reaped; 'foreign' when it lives outside our pid namespace; 'not-a-pidfd'
 */
export function pidOfPidfd(fd: number): number | 'gone' | 'foreign' | 'not-a-pidfd' {
  // The kernel's own names for it: a file system's paths begin with a slash. fdinfo alone would not do, as other kinds
  // of fd put names there that a user chose.
  const name = readlinkSync(`/proc/self/fd/${fd}`);
  if (name !== 'anon_inode:[pidfd]' && !name.startsWith('pidfd:[')) return 'not-a-pidfd';
  const pid = /^Pid:\s+(-?\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1];
  if (pid === undefined) return 'not-a-pidfd';
  const number = Number(pid);
  return number > 0 ? number : number < 0 ? 'gone' : 'foreign';
}

/** Field 22 of /proc/PID/stat. The command in field 2 may hold spaces and brackets: count from the last one. */
export function startTime(stat: string): bigint {
  return BigInt(required(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]));
}

/**
 * exe is readable for processes of our own uid only. For others there is only the command name, which the process chose. It stands in square
 * brackets, where no rule about an executable matches it. Brackets in it become `?`, so that it cannot close them and add text of its own.
 */
function executableOf(directory: string, stat: string, uids: IdTriple): string {
  const name = `[${stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')).replace(/[[\]()]/g, '?')}]`;
  const own = process.getuid?.();
  if (own !== 0 && !uids.every((uid) => uid === own)) return name;
  try {
    return readlinkSync(`${directory}/exe`);
  } catch {
    return name;
  }
}

/** The value of a line of /proc/PID/status. The process name in the first line has no newline: the kernel escapes it. */
function statusField(status: string, name: string, mayBeEmpty = false): string {
  const start = status.indexOf(`\n${name}:`) + name.length + 2;
  const value = start < name.length + 2 ? undefined : status.slice(start, status.indexOf('\n', start)).trim();
  return mayBeEmpty && value === '' ? '' : required(value);
}

/** Path in the unified hierarchy, else in systemd's named one. */
function readCgroup(directory: string): string {
  const lines = readFileSync(`${directory}/cgroup`, 'utf8').split('\n');
  const unified = lines.find((line) => line.startsWith('0::'))?.slice(3);
  const named = lines.find((line) => /^\d+:name=systemd:/.test(line))?.replace(/^\d+:name=systemd:/, '');
  return unified !== undefined && unified !== '/' ? unified : (named ?? unified ?? '/');
}

let uidMap: string | undefined;
function ownUidMap(): string {
  return (uidMap ??= readFileSync('/proc/self/uid_map', 'utf8'));
}

function idTriple(line: string): IdTriple {
  const [real, effective, saved] = line.split(/\s+/).map(Number);
  return [requiredNumber(real), requiredNumber(effective), requiredNumber(saved)];
}

function required(text: string | undefined): string {
  if (text === undefined || text === '') throw new Error('a field is missing from /proc');
  return text;
}

function requiredNumber(value: number | undefined): number {
  if (value === undefined || !Number.isSafeInteger(value)) throw new Error('a number is missing from /proc');
  return value;
}

/** Null when the process has ended by then. */
function unlessGone<Result>(read: () => Result): Result | null {
  try {
    return read();
  } catch (error) {
    if (isGone(error)) return null;
    throw error;
  }
}

function isGone(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'ENOENT' || code === 'ESRCH';
}
