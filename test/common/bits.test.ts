import test from 'ava';
import { maskOf, namesOf } from '#dist/common/bits.js';

const TABLE = ['a', 'b', 'c'] as const;
const unknown = (bit: number): never => {
  throw new RangeError(`bit ${bit}`);
};

test('names become the bits of their places, and bits become names, lowest first', (t) => {
  t.is(maskOf(['c', 'a'], TABLE), 0b101n);
  t.deepEqual(namesOf(0b101n, TABLE, unknown), ['a', 'c']);
  t.deepEqual(namesOf(0n, TABLE, unknown), []);
  t.is(
    maskOf(
      ['z'],
      Array.from({ length: 64 }, (_, bit) => (bit === 63 ? 'z' : `${bit}`)),
    ),
    1n << 63n,
  );
});

test('the lowest bit without a name is reported', (t) => {
  t.throws(() => namesOf(0b1001n, TABLE, unknown), { message: 'bit 3' });
  t.throws(() => namesOf((1n << 63n) | (1n << 40n), TABLE, unknown), { message: 'bit 40' });
});
