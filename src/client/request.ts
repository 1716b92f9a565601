import { constants, openSync } from 'node:fs';
import { brokerError } from '../model/errors/error_table.js';
import type { EventSpec } from '../model/event.js';
import { eventToJson } from '../model/events/event_json.js';
import { native, type Fd, type NativeError } from '../native.js';
import type { DowngradeOrder, DowngradeParameters, Event, OpenParameters, Target } from '../interfaces/broker_types.js';
import { closeFds } from '../varlink/close_fds.js';

/** Which threads of a process: all of them (the default), the leader, or the one with this tid. */
export type ThreadSelector = { readonly threads?: 'all' | 'leader' } | { readonly tid: number };

export type TargetSelector =
  /** `pid` is a number of this process's own pid namespace. */
  | ({ readonly pid: number } & ThreadSelector)
  /** The pidfd stays the caller's. */
  | ({ readonly pidfd: Fd } & ThreadSelector)
  | { readonly system: true }
  /** A directory under /sys/fs/cgroup, by path or as an fd, which stays the caller's. */
  | { readonly cgroup: Fd | string };

/** A `struct perf_event_attr` as an existing tool built it. */
export interface RawEvent {
  readonly attr: Uint8Array;
  /** Index of the earlier event that leads the group. */
  readonly leader?: number;
}

export interface OpenRequest {
  readonly targets: readonly TargetSelector[];
  readonly events: readonly (EventSpec | RawEvent)[];
  /** Cpu numbers. Absent: any cpu for processes, every online cpu for system and cgroup. */
  readonly cpus?: readonly number[];
  /** Bytes of each data ring that the caller is going to map: a power of two of pages. */
  readonly ringBytes?: number;
  /** Which slots get a ring: none, each, or the first of every cpu. */
  readonly ringSlots?: 'none' | 'each' | 'cpu';
  /** Seconds until the grant ends by itself; policy may shorten it. */
  readonly leaseSeconds?: number;
  /** Whether a human may be asked, which takes as long as it takes. */
  readonly allowInteractive?: boolean;
  /** Taken from the target, one whole process, before its events are handed over. */
  readonly downgrade?: DowngradeOrder;
}

export interface DowngradeRequest extends DowngradeOrder {
  /** The pidfd stays the caller's. */
  readonly target: { readonly pid: number } | { readonly pidfd: Fd };
  /** Its descendants of the same user, too. */
  readonly children?: boolean;
  /** Only what would be, and what stands against it. */
  readonly dryRun?: boolean;
  /** Milliseconds that the target may stand still before its first thread is changed; 1 to 100, for an administrator to 10,000; by default 100. */
  readonly deadlineMs?: number;
  /** Whether a human may be asked, which takes as long as it takes. */
  readonly allowInteractive?: boolean;
}

export interface EncodedRequest {
  readonly parameters: OpenParameters;
  /** Fds that the parameters mention by index; the caller owns them. */
  readonly fds: readonly Fd[];
}

/** SCM_MAX_FD (include/net/scm.h). */
const MAX_FDS = 253;

/**
 * A request as it goes over the wire. Processes are pinned by a pidfd here already, so that a number which is used again
 * can not come to mean somebody else on its way.
 * @throws BrokerError TargetGone, InvalidTarget; nothing stays open then
 */
export function encodeRequest({ targets, events, ...rest }: OpenRequest): EncodedRequest {
  const fds: Fd[] = [];
  try {
    const parameters = {
      targets: targets.map((target) => encodeTarget(target, fds)),
      events: events.map(encodeEvent),
      ...rest,
    };
    return { parameters, fds };
  } catch (error) {
    closeFds(fds);
    throw error;
  }
}

/** {@link encodeRequest} for a downgrade. */
export function encodeDowngrade({ target, ...rest }: DowngradeRequest): {
  readonly parameters: DowngradeParameters;
  readonly fds: readonly Fd[];
} {
  const fds: Fd[] = [];
  return { parameters: { target: encodeTarget(target, fds), ...rest }, fds };
}

function encodeEvent(event: EventSpec | RawEvent): Event {
  if (!('attr' in event)) return eventToJson(event) as Event;
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
  fds.push('pidfd' in target ? native.duplicate(target.pidfd) : pinProcess(target.pid));
  const pidfd = fds.length - 1;
  if ('tid' in target) return { kind: 'process', pidfd, tid: target.tid };
  return { kind: 'process', pidfd, ...(target.threads !== undefined && { threads: target.threads }) };
}

function pinProcess(pid: number): Fd {
  if (!Number.isInteger(pid) || pid <= 0 || pid > 0x7fffffff)
    throw brokerError('InvalidTarget', 'bad-value', `${pid} is no pid`);
  try {
    return native.pidfdOpen(pid);
  } catch (error) {
    const { code, errno } = error as NativeError;
    if (code === 'ESRCH') throw brokerError('TargetGone', 'no-such-process', `there is no process ${pid}`, { errno });
    // The kernel's word for the number of a thread that is no leader: EINVAL, since Linux 6.13 ENOENT.
    if (code === 'EINVAL' || code === 'ENOENT')
      throw brokerError(
        'InvalidTarget',
        'not-a-pidfd',
        `${pid} is a thread, not a process: give the pid, and the thread by tid`,
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
