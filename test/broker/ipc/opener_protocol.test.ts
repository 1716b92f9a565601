import { execFileSync } from 'node:child_process';
import test from 'ava';
import {
  decodeReply,
  encodeOpen,
  encodeRelease,
  LAYOUT,
  MAX_EVENTS,
  MAX_PREMAP_BYTES,
  MAX_SLOTS,
  mismatchNames,
  NO_LEADER,
  PROTOCOL_VERSION,
} from '#dist/broker/ipc/opener_protocol.js';
import { parseEvents } from '#dist/model/events/syntax/event_syntax.js';
import { EVENT_LAYOUT } from '#dist/model/events/attr/event_bytes.js';
import { eventFields } from '#dist/model/events/event_fields.js';

type Struct = Record<string, { offset: number; size: number }>;
const compiled = JSON.parse(execFileSync('dist/native/protocol-layout', { encoding: 'utf8' })) as Record<
  string,
  Struct
> & {
  constants: Record<string, number>;
};

const STRUCTS = [
  ['request', 'Request'],
  ['identity', 'Identity'],
  ['event', 'EventFields'],
  ['slot', 'Slot'],
  ['reply', 'Reply'],
] as const;

for (const [ours, theirs] of STRUCTS) {
  test(`every offset of ${theirs} is the one that the C++ compiler gives it`, (t) => {
    const struct = compiled[theirs]!;
    const { size, ...offsets }: Readonly<Record<string, number>> = { ...LAYOUT, event: EVENT_LAYOUT }[ours];
    t.is(size, struct['sizeof']!.size);
    for (const [field, offset] of Object.entries(offsets)) t.is(offset, struct[field]?.offset ?? NaN, field);
  });
}

test('the constants are those of the C++ side', (t) => {
  const { constants } = compiled;
  t.is(constants['kVersion'], PROTOCOL_VERSION);
  t.is(constants['kMaxEvents'], MAX_EVENTS);
  t.is(constants['kMaxSlots'], MAX_SLOTS);
  t.is(constants['kNoLeader'], NO_LEADER);
  t.is(constants['kMaxPremapBytes'], MAX_PREMAP_BYTES);
});

const event = eventFields(parseEvents('task-clock:u')[0]!);
const slot = { tid: 1, cpu: -1, event: 0, leader: NO_LEADER, premap: false };

test('a request holds 1 to 16 events and 1 to 253 slots', (t) => {
  const open = (events: number, slots: number): Uint8Array =>
    encodeOpen({
      serial: 1,
      target: 'system',
      expected: null,
      events: Array<typeof event>(events).fill(event),
      slots: Array<typeof slot>(slots).fill(slot),
      ringPages: 0,
    });
  t.is(open(16, 253).length, LAYOUT.request.size);
  t.throws(() => open(0, 1), { instanceOf: RangeError });
  t.throws(() => open(17, 1), { instanceOf: RangeError });
  t.throws(() => open(1, 0), { instanceOf: RangeError });
  t.throws(() => open(1, 254), { instanceOf: RangeError });
  t.is(encodeRelease(7).length, LAYOUT.request.size);
});

test('a reply of another size, version or range is refused', (t) => {
  const reply = new Uint8Array(LAYOUT.reply.size);
  const view = new DataView(reply.buffer);
  view.setUint32(LAYOUT.reply.version, PROTOCOL_VERSION, true);
  view.setUint32(LAYOUT.reply.slot_count, 2, true);
  view.setUint16(LAYOUT.reply.slot_errno + 2, 3, true);
  t.deepEqual(decodeReply(reply).slotErrnos, [0, 3]);
  t.throws(() => decodeReply(reply.subarray(1)), { instanceOf: RangeError });
  view.setUint32(LAYOUT.reply.slot_count, 254, true);
  t.throws(() => decodeReply(reply), { instanceOf: RangeError });
  view.setUint32(LAYOUT.reply.slot_count, 2, true);
  view.setUint32(LAYOUT.reply.status, 10, true);
  t.throws(() => decodeReply(reply), { instanceOf: RangeError });
  view.setUint32(LAYOUT.reply.status, 0, true);
  view.setUint32(LAYOUT.reply.version, 2, true);
  t.throws(() => decodeReply(reply), { instanceOf: RangeError });
});

test('mismatch bits have names', (t) => {
  t.deepEqual(mismatchNames(0b1000011), ['start-time', 'uid', 'thread']);
});
