import test from 'ava';
import {
  ATTR_SIZE_LATEST,
  ATTR_SIZES,
  FLAG_BITS,
  OFFSET,
  PRECISE_IP_BIT,
  UNSUPPORTED_FIELDS,
} from '#dist/model/events/attr/attr_layout.js';
import { EVENT_FLAGS } from '#dist/model/event_flags.js';

test('each bit of the flag word has one meaning, at the bit of the uapi header', (t) => {
  for (const { name, attrBit } of EVENT_FLAGS) t.is(FLAG_BITS[attrBit], name);
  const meanings = FLAG_BITS.filter((meaning) => meaning !== undefined && meaning !== 'precise_ip');
  t.is(new Set(meanings).size, meanings.length);
  t.is(FLAG_BITS[0], 'disabled');
  t.deepEqual(FLAG_BITS.slice(PRECISE_IP_BIT, PRECISE_IP_BIT + 2), ['precise_ip', 'precise_ip']);
  t.deepEqual(FLAG_BITS[37], { unsupported: 'sigtrap' });
  t.true(FLAG_BITS.length <= 64);
});

test('fields lie within the latest size, in the order of the header', (t) => {
  const offsets = Object.values(OFFSET);
  t.deepEqual(
    offsets,
    [...offsets].sort((a, b) => a - b),
  );
  t.is(new Set(offsets).size, offsets.length);
  t.is(OFFSET.config4 + 8, ATTR_SIZE_LATEST);
  t.is(ATTR_SIZES.at(-1), ATTR_SIZE_LATEST);
  for (const size of ATTR_SIZES) t.is(size % 8, 0);
});

test('a field that must be zero does not overlap the next field', (t) => {
  const ends = [...Object.values(OFFSET), ATTR_SIZE_LATEST];
  for (const { name, offset, bytes } of UNSUPPORTED_FIELDS) {
    const next = ends.find((end) => end > offset) ?? 0;
    t.true(offset + bytes <= next, name);
  }
});
