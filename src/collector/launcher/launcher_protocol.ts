/**
 * Messages of the launcher (native/protocol/launcher.h) as bytes: requests of the collector of `perfbroker run` to the
 * process that waits to become CMD. Fixed-size messages over a SEQPACKET socket, in host byte order.
 */
import { EVENT, LAUNCHER, OPENER } from '../../common/native_messages.js';
import { writeEventFields } from '../../model/events/attr/event_bytes.js';
import type { EventFields } from '../../model/events/event_fields.js';

export const REPLY_BYTES: number = LAUNCHER.reply.size;
export const MAX_EVENTS: number = LAUNCHER.maxEvents;
/** SCM_MAX_FD: fds in one message. */
export const MAX_SLOTS: number = LAUNCHER.maxSlots;
/** {@link LauncherReply.value} after `ready`: CMD runs, but its file could not be named. */
export const MISPLACED: number = LAUNCHER.misplaced;

const OFFSETS = LAUNCHER.request;

export type LauncherRequest =
  | {
      readonly type: 'openEvents';
      /** 1 to 16. */
      readonly events: readonly EventFields[];
      /** For each event the index of the earlier event that leads its group. */
      readonly leaders: readonly (number | undefined)[];
      /** -1: any cpu. events x cpus is at most 253. */
      readonly cpus: readonly number[];
      /** Data pages of the ring to be mapped on each cpu's first event. */
      readonly ringPages: number;
    }
  /** Looks up the number of `system:event`. */
  | { readonly type: 'tracepoint'; readonly name: string }
  | { readonly type: 'output' | 'scratch' | 'ready' }
  | { readonly type: 'failed'; readonly exitCode: number; readonly text: string };

export interface LauncherReply {
  /** errno; 0: done. */
  readonly error: number;
  readonly value: number;
  /** Index of the refused event. */
  readonly failed: number;
  readonly fdCount: number;
}

export function encodeLauncherRequest(request: LauncherRequest): Uint8Array {
  const bytes = new Uint8Array(OFFSETS.size);
  const view = new DataView(bytes.buffer);
  view.setUint32(OFFSETS.version, LAUNCHER.version, true);
  view.setUint32(OFFSETS.type, LAUNCHER.types[request.type], true);
  switch (request.type) {
    case 'openEvents': {
      const { events, leaders, cpus, ringPages } = request;
      if (events.length === 0 || events.length > MAX_EVENTS) throw new RangeError('1 to 16 events');
      if (cpus.length === 0 || events.length * cpus.length > MAX_SLOTS) throw new RangeError('1 to 253 fds');
      view.setUint32(OFFSETS.event_count, events.length, true);
      view.setUint32(OFFSETS.cpu_count, cpus.length, true);
      view.setUint32(OFFSETS.ring_pages, ringPages, true);
      for (const [index, event] of events.entries()) {
        writeEventFields(view, OFFSETS.events + index * EVENT.size, event);
        view.setUint16(OFFSETS.leaders + 2 * index, leaders[index] ?? OPENER.noLeader, true);
      }
      for (const [index, cpu] of cpus.entries()) view.setInt32(OFFSETS.cpus + 4 * index, cpu, true);
      break;
    }
    case 'tracepoint':
      writeText(bytes, request.name);
      break;
    case 'failed':
      view.setUint32(OFFSETS.exit_code, request.exitCode, true);
      writeText(bytes, request.text);
      break;
    default:
  }
  return bytes;
}

/** Truncates text that does not fit; the last byte stays NUL. */
function writeText(bytes: Uint8Array, text: string): void {
  new TextEncoder().encodeInto(text, bytes.subarray(OFFSETS.text, OFFSETS.size - 1));
}

/** @throws RangeError on a reply that this launcher would not send */
export function decodeLauncherReply(bytes: Uint8Array): LauncherReply {
  if (bytes.byteLength !== REPLY_BYTES) throw new RangeError(`reply of ${bytes.byteLength} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(LAUNCHER.reply.version, true) !== LAUNCHER.version)
    throw new RangeError('reply of another version');
  return {
    error: view.getUint32(LAUNCHER.reply.error, true),
    value: view.getUint32(LAUNCHER.reply.value, true),
    failed: view.getUint32(LAUNCHER.reply.failed, true),
    fdCount: view.getUint32(LAUNCHER.reply.fd_count, true),
  };
}
