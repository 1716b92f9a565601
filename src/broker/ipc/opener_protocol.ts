/**
 * native/protocol/opener.h in TypeScript: fixed-size requests to the opener and its replies, host byte order
 * (little endian on every machine that is supported). test/broker/ipc/opener_protocol.test.ts compares every offset with
 * what the C++ compiler says.
 */
import { EVENT_LAYOUT, writeEventFields } from '../../model/events/attr/event_bytes.js';
import type { EventFields } from '../../model/events/event_fields.js';
import type { ProcessIdentity } from '../../model/identity/target.js';

export const PROTOCOL_VERSION = 1;
export const MAX_EVENTS = 16;
export const MAX_SLOTS = 253;
export const MAX_PREMAP_BYTES = 0x1000_0000;
export const NO_LEADER = 0xffff;

export const REQUEST_OPEN = 1;
export const REQUEST_RELEASE = 2;

export const TARGET_KINDS = { process: 1, system: 2, cgroup: 3 } as const;
export type OpenerTargetKind = keyof typeof TARGET_KINDS;

export const STATUSES = [
  'opened',
  'ceiling',
  'not-same-user',
  'target-gone',
  'target-changed',
  'bad-client',
  'bad-target',
  'open-failed',
  'map-failed',
  'released',
] as const;
export type OpenerStatus = (typeof STATUSES)[number];

/** Bits of a reply's `detail` for not-same-user and target-changed, in bit order. */
export const MISMATCHES = [
  'start-time',
  'uid',
  'gid',
  'capabilities',
  'not-dumpable',
  'user-namespace',
  'thread',
] as const;
export type Mismatch = (typeof MISMATCHES)[number];

/** Byte offsets; the structs hold no padding that is not named. */
export const LAYOUT = {
  request: {
    size: 5168,
    version: 0,
    type: 4,
    serial: 8,
    target: 12,
    event_count: 16,
    slot_count: 20,
    ring_pages: 24,
    expected: 32,
    events: 80,
    slots: 1872,
    premap: 4908,
  },
  identity: { size: 48, start_time: 0, uid: 8, gid: 20, permitted: 32, dumpable: 40 },
  slot: { size: 12, tid: 0, cpu: 4, event: 8, leader: 10 },
  reply: { size: 532, version: 0, serial: 4, status: 8, detail: 12, fd_count: 16, slot_count: 20, slot_errno: 24 },
} as const;

/** One (thread, cpu, event) to open. `leader` is the index of an earlier slot of the same request. */
export interface OpenerSlot {
  readonly tid: number;
  readonly cpu: number;
  readonly event: number;
  readonly leader: number;
  readonly premap: boolean;
}

export interface OpenerRequest {
  readonly serial: number;
  readonly target: OpenerTargetKind;
  readonly expected: ProcessIdentity | null;
  readonly events: readonly EventFields[];
  readonly slots: readonly OpenerSlot[];
  /** Data pages of each ring to map in advance, a power of two; 0 for none. */
  readonly ringPages: number;
}

export interface OpenerReply {
  readonly serial: number;
  readonly status: OpenerStatus;
  readonly detail: number;
  readonly fdCount: number;
  /** One errno per slot, 0 where an fd is attached. */
  readonly slotErrnos: readonly number[];
}

export function encodeOpen(request: OpenerRequest): Uint8Array {
  if (request.events.length === 0 || request.events.length > MAX_EVENTS) throw new RangeError('1 to 16 events');
  if (request.slots.length === 0 || request.slots.length > MAX_SLOTS) throw new RangeError('1 to 253 slots');
  const bytes = new Uint8Array(LAYOUT.request.size);
  const view = new DataView(bytes.buffer);
  writeHeader(view, REQUEST_OPEN, request.serial, TARGET_KINDS[request.target]);
  view.setUint32(LAYOUT.request.event_count, request.events.length, true);
  view.setUint32(LAYOUT.request.slot_count, request.slots.length, true);
  view.setUint32(LAYOUT.request.ring_pages, request.ringPages, true);
  if (request.expected !== null) writeIdentity(view, LAYOUT.request.expected, request.expected);
  for (const [index, event] of request.events.entries())
    writeEventFields(view, LAYOUT.request.events + index * EVENT_LAYOUT.size, event);
  for (const [index, slot] of request.slots.entries()) {
    const at = LAYOUT.request.slots + index * LAYOUT.slot.size;
    view.setInt32(at + LAYOUT.slot.tid, slot.tid, true);
    view.setInt32(at + LAYOUT.slot.cpu, slot.cpu, true);
    view.setUint16(at + LAYOUT.slot.event, slot.event, true);
    view.setUint16(at + LAYOUT.slot.leader, slot.leader, true);
    view.setUint8(LAYOUT.request.premap + index, slot.premap ? 1 : 0);
  }
  return bytes;
}

/** @param serial of the open request whose rings are released */
export function encodeRelease(serial: number): Uint8Array {
  const bytes = new Uint8Array(LAYOUT.request.size);
  writeHeader(new DataView(bytes.buffer), REQUEST_RELEASE, serial, TARGET_KINDS.system);
  return bytes;
}

function writeHeader(view: DataView, type: number, serial: number, target: number): void {
  view.setUint32(LAYOUT.request.version, PROTOCOL_VERSION, true);
  view.setUint32(LAYOUT.request.type, type, true);
  view.setUint32(LAYOUT.request.serial, serial, true);
  view.setUint32(LAYOUT.request.target, target, true);
}

export function writeIdentity(view: DataView, at: number, identity: ProcessIdentity): void {
  view.setBigUint64(at + LAYOUT.identity.start_time, identity.startTime, true);
  for (let index = 0; index < 3; index++) {
    view.setUint32(at + LAYOUT.identity.uid + 4 * index, identity.uids[index] ?? 0, true);
    view.setUint32(at + LAYOUT.identity.gid + 4 * index, identity.gids[index] ?? 0, true);
  }
  view.setBigUint64(at + LAYOUT.identity.permitted, identity.permitted, true);
  view.setUint32(at + LAYOUT.identity.dumpable, identity.dumpable ? 1 : 0, true);
}

/** @throws RangeError for a message that the opener never sends */
export function decodeReply(bytes: Uint8Array): OpenerReply {
  if (bytes.byteLength !== LAYOUT.reply.size) throw new RangeError(`reply of ${bytes.byteLength} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(LAYOUT.reply.version, true) !== PROTOCOL_VERSION) throw new RangeError('reply of another version');
  const status = STATUSES[view.getUint32(LAYOUT.reply.status, true)];
  const slotCount = view.getUint32(LAYOUT.reply.slot_count, true);
  if (status === undefined || slotCount > MAX_SLOTS) throw new RangeError('reply out of range');
  const slotErrnos: number[] = [];
  for (let index = 0; index < slotCount; index++)
    slotErrnos.push(view.getUint16(LAYOUT.reply.slot_errno + 2 * index, true));
  return {
    serial: view.getUint32(LAYOUT.reply.serial, true),
    status,
    detail: view.getUint32(LAYOUT.reply.detail, true),
    fdCount: view.getUint32(LAYOUT.reply.fd_count, true),
    slotErrnos,
  };
}

export function mismatchNames(detail: number): readonly Mismatch[] {
  return MISMATCHES.filter((_, bit) => ((detail >> bit) & 1) === 1);
}
