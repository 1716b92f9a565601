import { createRequire } from 'node:module';
import test from 'ava';
import { CallError } from '#dist/bus/dbus_error.js';
import { LITTLE_ENDIAN, Reader } from '#dist/bus/transport/reader.js';

const marshall = createRequire(import.meta.url)('dbus-next/lib/marshall.js') as (
  signature: string,
  data: unknown[],
) => Buffer;
const BIG_ENDIAN = 0x42;

test('64-bit integers are read in the byte order of the message', (t) => {
  const bytes = (write: (view: DataView) => void): Buffer => {
    const view = new DataView(new ArrayBuffer(16));
    write(view);
    return Buffer.from(view.buffer);
  };
  for (const little of [true, false]) {
    const body = bytes((view) => {
      view.setBigInt64(0, -77n, little);
      view.setBigUint64(8, 2n ** 63n + 1n, little);
    });
    t.deepEqual(new Reader(body, little ? LITTLE_ENDIAN : BIG_ENDIAN, 10).read('xt'), [-77n, 2n ** 63n + 1n]);
  }
});

test('every value counts, at any depth, and one too many ends the reading', (t) => {
  const variant = (depth: number): unknown => (depth === 0 ? ['u', 1] : ['v', variant(depth - 1)]);
  for (const [signature, data, count] of [
    ['as', [Array(100).fill('')], 101],
    ['a{sv}', [Array(50).fill(['', ['u', 1]])], 1 + 50 * 4],
    ['v', [variant(20)], 22],
    ['(uu)u', [[1, 2], 3], 4],
    ['ay', [Buffer.alloc(1000)], 1],
  ] as const) {
    const body = marshall(signature, [...data]);
    t.notThrows(() => new Reader(body, LITTLE_ENDIAN, count).read(signature), signature);
    const error = t.throws(() => new Reader(body, LITTLE_ENDIAN, count - 1).read(signature), { instanceOf: CallError });
    t.is(error.error, 'InvalidArgs');
    t.regex(error.message, /more than \d+ values/);
  }
});
