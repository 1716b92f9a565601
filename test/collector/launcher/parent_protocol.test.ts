import test from 'ava';
import { PARENT } from '#dist/common/native_messages.js';
import { decodeParentMessage, encodeParentMessage } from '#dist/collector/launcher/parent_protocol.js';

test('a message of each type is read as it was written', (t) => {
  for (const type of Object.keys(PARENT.types) as (keyof typeof PARENT.types)[])
    t.deepEqual(decodeParentMessage(encodeParentMessage({ type, value: 0xfffffffe })), { type, value: 0xfffffffe });
});

test('a message of another size, version or type is refused', (t) => {
  const bytes = encodeParentMessage({ type: 'started', value: 1 });
  t.throws(() => decodeParentMessage(bytes.subarray(1)), { instanceOf: RangeError });
  for (const offset of [PARENT.message.version, PARENT.message.type]) {
    const changed = bytes.slice();
    changed[offset] = 99;
    t.throws(() => decodeParentMessage(changed), { instanceOf: RangeError });
  }
});
