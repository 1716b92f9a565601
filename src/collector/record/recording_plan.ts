import type { EventSpec } from '../../model/event.js';
import type { DrainStats, Fd, NativeError } from '../../native.js';
import type { LossOfBroker } from '../session/grant_watch.js';
import type { Session, SessionEnd } from '../session/session_end.js';

/** A recording: its events, its output, and what ends it. */
export interface RecordingPlan extends Session {
  /** With sampling, as {@link recordingEvents} makes them. */
  readonly events: readonly EventSpec[];
  /** Display names, one for each event. */
  readonly names: readonly string[];
  readonly cpus: readonly number[];
  /** Number of cpus that are online, for the file. Default: the number of `cpus`. */
  readonly cpusOnline?: number;
  /** Bytes of one cpu's ring; a power of two of pages. */
  readonly ringBytes: number;
  readonly output: string;
  /** The output when it is already open, for reading and writing: used instead of creating one, closed, never removed. */
  readonly outputFd?: Fd;
  /** Version of the program that records, for the file. */
  readonly version: string;
  readonly commandLine: readonly string[];
  /** Called once, when recording has begun. */
  readonly onBegin?: (progress: () => DrainStats) => void;
}

/**
 * `removed`: the command goes on, but the kernel removed its events, because it executed a program that may not be
 * observed (setuid, file capabilities, not readable). After `not-executed` there is no file.
 */
export type RecordingEnd = SessionEnd | 'removed' | 'write-error';

export interface RecordingSummary {
  readonly end: RecordingEnd;
  readonly samples: bigint;
  /** Records that did not fit into a ring, including those that no LOST record reports. */
  readonly lost: bigint;
  /** Number of times that the kernel stopped an event for exceeding the sample rate. */
  readonly throttled: bigint;
  /** Size of the records in the file. */
  readonly bytes: number;
  readonly seconds: number;
  readonly fds: number;
  /** New threads kept appearing until the attach gave up: some may be missing. */
  readonly unstable: boolean;
  /** Absent when the broker was there until the end. */
  readonly lossOfBroker?: LossOfBroker;
  /** Processes whose maps this user may not read: their samples have no names. */
  readonly unreadableMaps: readonly number[];
  /** Count of each event where there is no sample; undefined for one of a group. */
  readonly counts?: readonly (bigint | undefined)[];
  /** Error that stopped the writing; the file holds the records written before. */
  readonly error?: NativeError;
}
