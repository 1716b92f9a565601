import test from 'ava';
import fc from 'fast-check';
import { EVENT } from '#dist/common/native_messages.js';
import { writeEventFields } from '#dist/model/events/attr/event_bytes.js';
import { eventFields } from '#dist/model/events/event_fields.js';
import { eventSpec, resolvedSource } from '../../event_arbitrary.js';

test('fields are at their offsets, and nothing is written outside of the struct', (t) => {
  fc.assert(
    fc.property(eventSpec(resolvedSource), (spec) => {
      const fields = eventFields(spec);
      const view = new DataView(new ArrayBuffer(16 + EVENT.size + 16));
      writeEventFields(view, 16, fields);
      t.is(view.getUint32(16 + EVENT.type, true), fields.type);
      t.is(view.getBigUint64(16 + EVENT.flags, true), fields.flags);
      t.is(view.getBigUint64(16 + EVENT.config3, true), fields.config3);
      t.is(view.getInt32(16 + EVENT.clockid, true), fields.clockid);
      t.is(view.getUint8(16 + EVENT.precise_ip), fields.preciseIp);
      for (const at of [0, 8, 16 + EVENT.size, 24 + EVENT.size]) t.is(view.getBigUint64(at, true), 0n);
    }),
  );
});
