/** The tracer's messages (native/protocol/tracer.h) as bytes, like those of the opener. */
import { namesByNumber } from '../../common/names_by_number.js';
import { TRACER } from '../../common/native_messages.js';
import type { ProcessIdentity } from '../../model/identity/target.js';
import { writeIdentity } from './opener_protocol.js';

export const MAX_THREADS: number = TRACER.maxThreads;
const THREADS_PER_REPLY = TRACER.threadsPerReply;
/** Milliseconds. */
export const MAX_DEADLINE: number = TRACER.maxDeadline;

export type TracerStatus = keyof typeof TRACER.statuses;
export const TRACER_STATUSES: readonly TracerStatus[] = namesByNumber(TRACER.statuses);

/** Names of the number in a refused reply's `detail`. */
export const REFUSALS: readonly (keyof typeof TRACER.refusals)[] = namesByNumber(TRACER.refusals);

export interface TracerRequest {
  /** Capability bits. */
  readonly drop: bigint;
  readonly noNewPrivs: boolean;
  readonly dryRun: boolean;
  /** Milliseconds that the target may stand still before its first thread is changed. */
  readonly deadline: number;
  readonly expected: ProcessIdentity;
}

/** Capability bits of one thread. */
export interface CapabilitySets {
  readonly inheritable: bigint;
  readonly permitted: bigint;
  readonly effective: bigint;
  readonly bounding: bigint;
  readonly ambient: bigint;
}

export interface ThreadResult {
  readonly tid: number;
  /** errno of what failed in this thread; 0: nothing did. */
  readonly error: number;
  readonly noNewPrivs: boolean;
  readonly had: CapabilitySets;
  readonly has: CapabilitySets;
}

/** One message of a reply. */
export interface TracerReply {
  readonly serial: number;
  readonly status: TracerStatus;
  readonly detail: number;
  readonly tid: number;
  readonly stoppedMicroseconds: number;
  readonly threadCount: number;
  readonly first: number;
  readonly threads: readonly ThreadResult[];
}

export function encodeDowngrade(serial: number, request: TracerRequest): Uint8Array {
  const { deadline } = request;
  if (!Number.isInteger(deadline) || deadline < 1 || deadline > MAX_DEADLINE) throw new RangeError('deadline');
  if (request.drop === 0n && !request.noNewPrivs) throw new RangeError('nothing to drop');
  const bytes = new Uint8Array(TRACER.request.size);
  const view = new DataView(bytes.buffer);
  const flags = (request.noNewPrivs ? TRACER.flags.noNewPrivs : 0) | (request.dryRun ? TRACER.flags.dryRun : 0);
  view.setUint32(TRACER.request.version, TRACER.version, true);
  view.setUint32(TRACER.request.serial, serial, true);
  view.setUint32(TRACER.request.flags, flags, true);
  view.setUint32(TRACER.request.deadline, deadline, true);
  view.setBigUint64(TRACER.request.drop, request.drop, true);
  writeIdentity(view, TRACER.request.expected, request.expected);
  return bytes;
}

/** @throws RangeError for a message that the tracer never sends */
export function decodeTracerReply(bytes: Uint8Array): TracerReply {
  const layout = TRACER.reply;
  if (bytes.byteLength !== layout.size) throw new RangeError(`reply of ${bytes.byteLength} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(layout.version, true) !== TRACER.version) throw new RangeError('reply of another version');
  const status = TRACER_STATUSES[view.getUint32(layout.status, true)];
  const threadCount = view.getUint32(layout.thread_count, true);
  const first = view.getUint32(layout.first, true);
  const count = view.getUint32(layout.count, true);
  if (status === undefined || threadCount > MAX_THREADS || count > THREADS_PER_REPLY || first + count > threadCount)
    throw new RangeError('reply out of range');
  return {
    serial: view.getUint32(layout.serial, true),
    status,
    detail: view.getUint32(layout.detail, true),
    tid: view.getInt32(layout.tid, true),
    stoppedMicroseconds: view.getUint32(layout.stopped, true),
    threadCount,
    first,
    threads: Array.from({ length: count }, (_, index) => readThread(view, layout.threads + index * TRACER.thread.size)),
  };
}

function readThread(view: DataView, at: number): ThreadResult {
  const layout = TRACER.thread;
  return {
    tid: view.getInt32(at + layout.tid, true),
    error: view.getUint32(at + layout.error, true),
    noNewPrivs: view.getUint32(at + layout.no_new_privs, true) !== 0,
    had: readSets(view, at + layout.had),
    has: readSets(view, at + layout.has),
  };
}

function readSets(view: DataView, at: number): CapabilitySets {
  const set = (index: number): bigint => view.getBigUint64(at + 8 * index, true);
  return { inheritable: set(0), permitted: set(1), effective: set(2), bounding: set(3), ambient: set(4) };
}
