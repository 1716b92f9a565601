import test from 'ava';
import { ByteReader, textOf } from '#dist/formats/byte_reader.js';
import { ByteWriter } from '#dist/formats/byte_writer.js';
import { FormatError } from '#dist/formats/format_error.js';

test('reading beyond the end is a FormatError for every width', (t) => {
  for (const read of ['u8', 'u16', 'u32', 'i32', 'u64', 'size'] as const)
    t.throws(() => new ByteReader(new Uint8Array(0), 'test')[read](), { instanceOf: FormatError });
  for (const length of [-1, 5, NaN, Infinity])
    t.throws(() => new ByteReader(new Uint8Array(4), 'test').slice(length), { instanceOf: FormatError });
});

test('a size above 2^53 - 1 is rejected', (t) => {
  const bytes = new ByteWriter().u64(1n << 53n).bytes;
  t.throws(() => new ByteReader(bytes, 'test').size(), { instanceOf: FormatError, message: /is not a valid size/ });
});

test('text ends at the first NUL, and invalid UTF-8 is replaced', (t) => {
  t.is(textOf(Buffer.from('ab\0cd')), 'ab');
  t.is(textOf(Buffer.from('ab')), 'ab');
  t.is(textOf(Uint8Array.of(0x61, 0xff)), 'a\ufffd');
});

test('a reader of a slice begins at the slice, and knows what remains', (t) => {
  const reader = new ByteReader(new Uint8Array(10).subarray(2), 'test', 3);
  t.is(reader.offset, 3);
  reader.skip(1);
  t.is(reader.remaining, 4);
});
