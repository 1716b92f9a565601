import test from 'ava';
import fc from 'fast-check';
import { bareEvent } from '#dist/model/events/event_defaults.js';
import { encodeAttr } from '#dist/model/events/attr/attr.js';
import { ATTR_SIZE_LATEST, OFFSET } from '#dist/model/events/attr/attr_layout.js';
import { sourceOfAttr } from '#dist/model/events/attr/attr_source.js';
import { resolvedSource } from '../../event_arbitrary.js';

/** The bytes of an attr, extended to the newest size. */
function view(bytes: Uint8Array): DataView {
  const whole = new Uint8Array(ATTR_SIZE_LATEST);
  whole.set(bytes);
  return new DataView(whole.buffer);
}

test('a source survives its bytes, without the words that are zero', (t) => {
  fc.assert(
    fc.property(resolvedSource, (source) => {
      t.deepEqual(sourceOfAttr(view(encodeAttr(bareEvent(source)))), source);
    }),
  );
});

test('a word that the type does not use is refused', (t) => {
  for (const field of ['config1', 'config2', 'config3'] as const) {
    const attr = view(encodeAttr(bareEvent({ kind: 'software', name: 'cpu-clock' })));
    attr.setBigUint64(OFFSET[field], 1n, true);
    t.throws(() => sourceOfAttr(attr), { message: `${field} is set, which a software event does not use` });
  }
});

test('a name beyond the table is refused', (t) => {
  const attr = view(encodeAttr(bareEvent({ kind: 'software', name: 'cpu-clock' })));
  attr.setBigUint64(OFFSET.config, 99n, true);
  t.throws(() => sourceOfAttr(attr), { message: 'software event 99 is unknown' });
});
