/**
 * The opener's messages (native/protocol/opener.h) as bytes: fixed-size requests and replies in host byte order, which is
 * little endian on every supported machine.
 */
import { namesByNumber } from '../../common/names_by_number.js';
import { EVENT, OPENER } from '../../common/native_messages.js';
import { writeEventFields } from '../../model/events/attr/event_bytes.js';
import type { EventFields } from '../../model/events/event_fields.js';
import type { ProcessIdentity } from '../../model/identity/target.js';

export const MAX_EVENTS: number = OPENER.maxEvents;
export const MAX_SLOTS: number = OPENER.maxSlots;
export const MAX_PREMAP_BYTES: number = OPENER.maxPremapBytes;
export const NO_LEADER: number = OPENER.noLeader;

export type OpenerTargetKind = keyof typeof OPENER.targetKinds;
export type OpenerStatus = keyof typeof OPENER.statuses;
const STATUSES = namesByNumber(OPENER.statuses);

/** Bits of a reply's `detail` for not-same-user and target-changed. */
export type Mismatch = keyof typeof OPENER.mismatches;
const MISMATCHES = namesByNumber(OPENER.mismatches);

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
  const bytes = new Uint8Array(OPENER.request.size);
  const view = new DataView(bytes.buffer);
  writeHeader(view, OPENER.requestTypes.open, request.serial, OPENER.targetKinds[request.target]);
  view.setUint32(OPENER.request.event_count, request.events.length, true);
  view.setUint32(OPENER.request.slot_count, request.slots.length, true);
  view.setUint32(OPENER.request.ring_pages, request.ringPages, true);
  if (request.expected !== null) writeIdentity(view, OPENER.request.expected, request.expected);
  for (const [index, event] of request.events.entries())
    writeEventFields(view, OPENER.request.events + index * EVENT.size, event);
  for (const [index, slot] of request.slots.entries()) {
    const at = OPENER.request.slots + index * OPENER.slot.size;
    view.setInt32(at + OPENER.slot.tid, slot.tid, true);
    view.setInt32(at + OPENER.slot.cpu, slot.cpu, true);
    view.setUint16(at + OPENER.slot.event, slot.event, true);
    view.setUint16(at + OPENER.slot.leader, slot.leader, true);
    view.setUint8(OPENER.request.premap + index, slot.premap ? 1 : 0);
  }
  return bytes;
}

/** @param serial of the open request whose rings are released */
export function encodeRelease(serial: number): Uint8Array {
  const bytes = new Uint8Array(OPENER.request.size);
  writeHeader(new DataView(bytes.buffer), OPENER.requestTypes.release, serial, OPENER.targetKinds.system);
  return bytes;
}

function writeHeader(view: DataView, type: number, serial: number, target: number): void {
  view.setUint32(OPENER.request.version, OPENER.version, true);
  view.setUint32(OPENER.request.type, type, true);
  view.setUint32(OPENER.request.serial, serial, true);
  view.setUint32(OPENER.request.target, target, true);
}

export function writeIdentity(view: DataView, at: number, identity: ProcessIdentity): void {
  view.setBigUint64(at + OPENER.identity.start_time, identity.startTime, true);
  for (let index = 0; index < 3; index++) {
    view.setUint32(at + OPENER.identity.uid + 4 * index, identity.uids[index] ?? 0, true);
    view.setUint32(at + OPENER.identity.gid + 4 * index, identity.gids[index] ?? 0, true);
  }
  view.setBigUint64(at + OPENER.identity.permitted, identity.permitted, true);
  view.setUint32(at + OPENER.identity.dumpable, identity.dumpable ? 1 : 0, true);
}

/** @throws RangeError for a message that the opener never sends */
export function decodeReply(bytes: Uint8Array): OpenerReply {
  if (bytes.byteLength !== OPENER.reply.size) throw new RangeError(`reply of ${bytes.byteLength} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(OPENER.reply.version, true) !== OPENER.version) throw new RangeError('reply of another version');
  const status = STATUSES[view.getUint32(OPENER.reply.status, true)];
  const slotCount = view.getUint32(OPENER.reply.slot_count, true);
  if (status === undefined || slotCount > MAX_SLOTS) throw new RangeError('reply out of range');
  const slotErrnos: number[] = [];
  for (let index = 0; index < slotCount; index++)
    slotErrnos.push(view.getUint16(OPENER.reply.slot_errno + 2 * index, true));
  return {
    serial: view.getUint32(OPENER.reply.serial, true),
    status,
    detail: view.getUint32(OPENER.reply.detail, true),
    fdCount: view.getUint32(OPENER.reply.fd_count, true),
    slotErrnos,
  };
}

export function mismatchNames(detail: number): readonly Mismatch[] {
  return MISMATCHES.filter((_, bit) => ((detail >> bit) & 1) === 1);
}
