import test from 'ava';
import fc from 'fast-check';
import { formatBytes, formatLease, parseBytes, parseLease } from '#dist/policy/units.js';

const sizes: [unknown, number | undefined][] = [
  [4096, 4096],
  [0, 0],
  ['8 MiB', 8 * 1024 ** 2],
  ['8MiB', 8 * 1024 ** 2],
  ['1 GiB', 1024 ** 3],
  ['512 B', 512],
  ['8 MB', undefined],
  ['8', undefined],
  ['8  MiB', undefined],
  ['-8 MiB', undefined],
  ['1.5 MiB', undefined],
  ['999999999999999 GiB', undefined],
  [1.5, undefined],
  [-1, undefined],
  [NaN, undefined],
  [true, undefined],
  ['8 constructor', undefined],
];
for (const [written, bytes] of sizes) {
  test(`the size ${JSON.stringify(written)} is ${bytes ?? 'refused'}${Number.isNaN(written) ? ' (NaN)' : ''}`, (t) => {
    t.is(parseBytes(written), bytes);
  });
}

const leases: [unknown, number | undefined][] = [
  ['none', 0],
  ['10 min', 600],
  ['90 s', 90],
  ['2 h', 7200],
  ['1 d', 86_400],
  [600, 600],
  [0, undefined],
  ['0 s', undefined],
  ['10 m', undefined],
  ['never', undefined],
  [Infinity, undefined],
];
for (const [written, seconds] of leases) {
  test(`the lease ${typeof written === 'number' ? written : JSON.stringify(written)} is ${seconds ?? 'refused'}`, (t) => {
    t.is(parseLease(written), seconds);
  });
}

test('a formatted quantity can be read back', (t) => {
  fc.assert(fc.property(fc.nat({ max: 2 ** 40 }), (bytes) => parseBytes(formatBytes(bytes)) === bytes));
  fc.assert(fc.property(fc.nat({ max: 2 ** 40 }), (seconds) => parseLease(formatLease(seconds)) === seconds));
  t.is(formatBytes(8 * 1024 ** 2), '8 MiB');
  t.is(formatBytes(1025), '1025 B');
  t.is(formatLease(5400), '90 min');
  t.is(formatLease(0), 'none');
});
