/**
 * native/protocol/tracer.h in TypeScript, as opener_protocol.ts. test/broker/ipc/tracer_protocol.test.ts compares every
 * offset with what the C++ compiler says.
 */
import type { ProcessIdentity } from '../../model/identity/target.js';
import { writeIdentity } from './opener_protocol.js';

export const TRACER_VERSION = 1;
export const MAX_THREADS = 4096;
export const THREADS_PER_REPLY = 64;
/** Milliseconds. */
export const MAX_DEADLINE = 10_000;

const FLAG_NO_NEW_PRIVS = 1;
const FLAG_DRY_RUN = 2;

export const TRACER_STATUSES = [
  'ready',
  'downgraded',
  'failed',
  'refused',
  'target-gone',
  'target-changed',
  'bad-client',
  'bad-target',
  'not-same-user',
  'deadline',
  'too-many-threads',
  'system-error',
] as const;
export type TracerStatus = (typeof TRACER_STATUSES)[number];

/** Names of the number in a refused reply's `detail`. */
export const REFUSALS = [
  'none',
  'init',
  'ancestor',
  'kernel-thread',
  'already-traced',
  'seccomp',
  'compat',
  'not-permitted',
  'no-syscall',
] as const;

/** Byte offsets; the structs hold no padding that is not named. */
export const TRACER_LAYOUT = {
  request: { size: 72, version: 0, serial: 4, flags: 8, deadline: 12, drop: 16, expected: 24 },
  thread: { size: 96, tid: 0, error: 4, no_new_privs: 8, had: 16, has: 56 },
  reply: {
    size: 6184,
    version: 0,
    serial: 4,
    status: 8,
    detail: 12,
    tid: 16,
    stopped: 20,
    thread_count: 24,
    first: 28,
    count: 32,
    threads: 40,
  },
} as const;

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
  const bytes = new Uint8Array(TRACER_LAYOUT.request.size);
  const view = new DataView(bytes.buffer);
  const flags = (request.noNewPrivs ? FLAG_NO_NEW_PRIVS : 0) | (request.dryRun ? FLAG_DRY_RUN : 0);
  view.setUint32(TRACER_LAYOUT.request.version, TRACER_VERSION, true);
  view.setUint32(TRACER_LAYOUT.request.serial, serial, true);
  view.setUint32(TRACER_LAYOUT.request.flags, flags, true);
  view.setUint32(TRACER_LAYOUT.request.deadline, deadline, true);
  view.setBigUint64(TRACER_LAYOUT.request.drop, request.drop, true);
  writeIdentity(view, TRACER_LAYOUT.request.expected, request.expected);
  return bytes;
}

/** @throws RangeError for a message that the tracer never sends */
export function decodeTracerReply(bytes: Uint8Array): TracerReply {
  const layout = TRACER_LAYOUT.reply;
  if (bytes.byteLength !== layout.size) throw new RangeError(`reply of ${bytes.byteLength} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(layout.version, true) !== TRACER_VERSION) throw new RangeError('reply of another version');
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
    threads: Array.from({ length: count }, (_, index) =>
      readThread(view, layout.threads + index * TRACER_LAYOUT.thread.size),
    ),
  };
}

function readThread(view: DataView, at: number): ThreadResult {
  const layout = TRACER_LAYOUT.thread;
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
