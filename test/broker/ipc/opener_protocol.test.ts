import test from 'ava';
import { decodeReply, encodeOpen, encodeRelease, mismatchNames, NO_LEADER } from '#dist/broker/ipc/opener_protocol.js';
import { OPENER } from '#dist/common/native_messages.js';
import { parseEvents } from '#dist/model/events/syntax/event_syntax.js';
import { eventFields } from '#dist/model/events/event_fields.js';

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
  t.is(open(16, 253).length, OPENER.request.size);
  t.throws(() => open(0, 1), { instanceOf: RangeError });
  t.throws(() => open(17, 1), { instanceOf: RangeError });
  t.throws(() => open(1, 0), { instanceOf: RangeError });
  t.throws(() => open(1, 254), { instanceOf: RangeError });
  t.is(encodeRelease(7).length, OPENER.request.size);
});

test('a reply of another size, version or range is refused', (t) => {
  const reply = new Uint8Array(OPENER.reply.size);
  const view = new DataView(reply.buffer);
  view.setUint32(OPENER.reply.version, OPENER.version, true);
  view.setUint32(OPENER.reply.slot_count, 2, true);
  view.setUint16(OPENER.reply.slot_errno + 2, 3, true);
  t.deepEqual(decodeReply(reply).slotErrnos, [0, 3]);
  t.throws(() => decodeReply(reply.subarray(1)), { instanceOf: RangeError });
  view.setUint32(OPENER.reply.slot_count, 254, true);
  t.throws(() => decodeReply(reply), { instanceOf: RangeError });
  view.setUint32(OPENER.reply.slot_count, 2, true);
  view.setUint32(OPENER.reply.status, 10, true);
  t.throws(() => decodeReply(reply), { instanceOf: RangeError });
  view.setUint32(OPENER.reply.status, 0, true);
  view.setUint32(OPENER.reply.version, 2, true);
  t.throws(() => decodeReply(reply), { instanceOf: RangeError });
});

test('mismatch bits have names', (t) => {
  t.deepEqual(mismatchNames(0b1000011), ['start-time', 'uid', 'thread']);
});
