import { constants, openSync } from 'node:fs';
import { Rollback } from '../common/rollback.js';
import { brokerError } from '../model/errors/error_table.js';
import { BrokerError } from '../model/errors/errors.js';
import type { EventSpec } from '../model/event.js';
import { eventToJson } from '../interfaces/event_json.js';
import { native, type Fd, type NativeError } from '../native.js';
import type { DowngradeOrder, DowngradeParameters, Event, OpenParameters, Target } from '../interfaces/broker_types.js';
import { closeFds } from '../varlink/close_fds.js';

/** Threads of a process: all of them (the default), the leader, or the thread with this tid. */
export type ThreadSelector = { readonly threads?: 'all' | 'leader' } | { readonly tid: number };

export type TargetSelector =
  /** `pid` is a number in this process's pid namespace. */
  | ({ readonly pid: number } & ThreadSelector)
  /** The caller keeps the pidfd. */
  | ({ readonly pidfd: Fd } & ThreadSelector)
  | { readonly system: true }
  /** A directory under /sys/fs/cgroup, as a path or as an fd, which the caller keeps. */
  | { readonly cgroup: Fd | string };

/** A `struct perf_event_attr` in binary form. */
export interface RawEvent {
  readonly attr: Uint8Array;
  /** Index of an earlier event, which leads the group. */
  readonly leader?: number;
}

export interface OpenRequest {
  readonly targets: readonly TargetSelector[];
  readonly events: readonly (EventSpec | RawEvent)[];
  /** Cpu numbers. Default: any cpu for processes, every online cpu for system and cgroup. */
  readonly cpus?: readonly number[];
  /** Size in bytes of each data ring that the caller is going to map: a power of two of pages. */
  readonly ringBytes?: number;
  /** Slots that get a ring: none, each, or the first of every cpu. */
  readonly ringSlots?: 'none' | 'each' | 'cpu';
  /** Seconds until the grant ends. The policy may shorten it. */
  readonly leaseSeconds?: number;
  /** Allows an authorization prompt (polkit), which may take minutes. Default: false. */
  readonly allowInteractive?: boolean;
  /** Capabilities to remove from the target before its events are handed over. The target must be one whole process. */
  readonly downgrade?: DowngradeOrder;
}

export interface DowngradeRequest extends DowngradeOrder {
  /** The caller keeps the pidfd. */
  readonly target: { readonly pid: number } | { readonly pidfd: Fd };
  /** Includes descendants of the same user. Default: false. */
  readonly children?: boolean;
  /** Changes no thread: reports what would happen, and what would prevent it. Default: false. */
  readonly dryRun?: boolean;
  /** Milliseconds that the target may be stopped before its first thread is changed: 1 to 100, for administrators up to 10,000. Default: 100. */
  readonly deadlineMs?: number;
  /** Allows an authorization prompt (polkit), which may take minutes. Default: false. */
  readonly allowInteractive?: boolean;
}

export interface EncodedRequest {
  readonly parameters: OpenParameters;
  /** Fds that the parameters refer to by index; the caller owns them. */
  readonly fds: readonly Fd[];
}

/** SCM_MAX_FD (include/net/scm.h). */
const MAX_FDS = 253;

/**
 * Encodes a request for the wire. A pidfd pins each process now: if its pid is reused while the request is on its way, the request
 * still refers to the original process. Where a seccomp filter refuses pidfd_open(2), the number itself is sent.
 * @throws BrokerError TargetGone, InvalidTarget; no fd stays open in that case
 */
export function encodeRequest({ targets, events, ...rest }: OpenRequest): EncodedRequest {
  const fds: Fd[] = [];
  using pins = new Rollback(() => closeFds(fds));
  const parameters = {
    targets: targets.map((target) => encodeTarget(target, fds)),
    events: events.map(encodeEvent),
    ...rest,
  };
  pins.keep();
  return { parameters, fds };
}

/** {@link encodeRequest} for a downgrade. */
export function encodeDowngrade({ target, ...rest }: DowngradeRequest): {
  readonly parameters: DowngradeParameters;
  readonly fds: readonly Fd[];
} {
  const fds: Fd[] = [];
  return { parameters: { target: encodeTarget(target, fds), ...rest }, fds };
}

/** The error for a number that the broker cannot use: names the call that this process lacks. Any other error is returned as it is. */
export function explainUnpinned(error: unknown, targets: readonly object[]): unknown {
  const isNumber = targets.some((target) => 'pid' in target);
  if (!isNumber || !(error instanceof BrokerError) || error.code !== 'pid-namespace') return error;
  return brokerError(
    'InvalidTarget',
    'pid-namespace',
    `${error.message}, and this process may not call pidfd_open(2), which a seccomp filter refuses`,
    { remedy: 'Allow pidfd_open in the seccomp profile of the container, or run the collector outside of it.' },
  );
}

function encodeEvent(event: EventSpec | RawEvent): Event {
  if (!('attr' in event)) return eventToJson(event);
  const attr = Buffer.from(event.attr.buffer, event.attr.byteOffset, event.attr.byteLength).toString('base64');
  return event.leader === undefined ? { attr } : { attr, leader: event.leader };
}

function encodeTarget(target: TargetSelector, fds: Fd[]): Target {
  if ('system' in target) return { kind: 'system' };
  if (fds.length >= MAX_FDS)
    throw brokerError('InvalidTarget', 'too-many-targets', `more than ${MAX_FDS} processes or cgroups in one request`);
  if ('cgroup' in target) {
    fds.push(typeof target.cgroup === 'string' ? openDirectory(target.cgroup) : native.duplicate(target.cgroup));
    return { kind: 'cgroup', directory: fds.length - 1 };
  }
  const pidfd = 'pidfd' in target ? native.duplicate(target.pidfd) : pinProcess(target.pid);
  if (pidfd !== 'refused') fds.push(pidfd);
  const process = pidfd === 'refused' && 'pid' in target ? { pid: target.pid } : { pidfd: fds.length - 1 };
  if ('tid' in target) return { kind: 'process', ...process, tid: target.tid };
  return { kind: 'process', ...process, ...(target.threads !== undefined && { threads: target.threads }) };
}

/** @returns 'refused' where a seccomp filter does not let this process have pidfds: profiles older than Linux 5.3 answer EPERM or ENOSYS */
function pinProcess(pid: number): Fd | 'refused' {
  if (!Number.isInteger(pid) || pid <= 0 || pid > 0x7fffffff)
    throw brokerError('InvalidTarget', 'bad-value', `${pid} is not a pid`);
  try {
    return native.pidfdOpen(pid);
  } catch (error) {
    const { code, errno } = error as NativeError;
    if (code === 'EPERM' || code === 'ENOSYS') return 'refused';
    if (code === 'ESRCH') throw brokerError('TargetGone', 'no-such-process', `there is no process ${pid}`, { errno });
    // pidfd_open(2) of a thread that does not lead its group: EINVAL, since Linux 6.13 ENOENT.
    if (code === 'EINVAL' || code === 'ENOENT')
      throw brokerError(
        'InvalidTarget',
        'not-a-pidfd',
        `${pid} is a thread, not a process: use the pid of its process, and this number as the tid`,
        { errno },
      );
    throw error;
  }
}

function openDirectory(path: string): Fd {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    const { errno = 0, message } = error as NodeJS.ErrnoException;
    throw brokerError('InvalidTarget', 'not-a-cgroup', message, { errno: Math.abs(errno) });
  }
}
