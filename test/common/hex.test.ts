import test from 'ava';
import { hex } from '#dist/common/hex.js';

test('a number has its prefix, and no padding', (t) => {
  t.is(hex(0n), '0x0');
  t.is(hex((1n << 64n) - 1n), '0xffffffffffffffff');
});
