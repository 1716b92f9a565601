import test from 'ava';
import { stackOf } from '#dist/collector/profile/stacks.js';

test('return addresses are moved into their call, except the innermost address of each mode', (t) => {
  const [kernel, user] = [0xffff_ffff_ffff_ff80n, 0xffff_ffff_ffff_fe00n];
  const stack = stackOf({ kind: 'sample', cpuMode: 1, ip: 9n, callchain: [kernel, 100n, 90n, user, 50n, 40n] });
  t.deepEqual(stack, [
    { address: 100n, kernel: true },
    { address: 89n, kernel: true },
    { address: 50n, kernel: false },
    { address: 39n, kernel: false },
  ]);
  t.deepEqual(stackOf({ kind: 'sample', cpuMode: 2, ip: 9n }), [{ address: 9n, kernel: false }]);
});
