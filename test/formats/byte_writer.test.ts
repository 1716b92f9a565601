import test from 'ava';
import { ByteReader } from '#dist/formats/byte_reader.js';
import { ByteWriter } from '#dist/formats/byte_writer.js';

for (const capacity of [1, 2, 7, 8, 64]) {
  test(`every width is written where the buffer has to grow from ${capacity} bytes`, (t) => {
    const writer = new ByteWriter(capacity);
    writer
      .u16(0x1234)
      .u32(0xdeadbeef)
      .u64(0x0123456789abcdefn)
      .raw(Uint8Array.of(1, 2, 3))
      .text('ab', 8)
      .zeros(2);
    const reader = new ByteReader(writer.bytes, 'test');
    t.is(reader.u16(), 0x1234);
    t.is(reader.u32(), 0xdeadbeef);
    t.is(reader.u64(), 0x0123456789abcdefn);
    t.deepEqual([...reader.slice(3)], [1, 2, 3]);
    t.is(reader.text(8), 'ab');
    t.is(reader.u16(), 0);
    t.is(reader.remaining, 0);
  });
}

test('text that fills its alignment still gets a NUL', (t) => {
  t.is(new ByteWriter().text('12345678', 8).length, 16);
});
