import test from 'ava';
import {
  defaultRingBytes,
  parseOutput,
  parsePids,
  parseRingBytes,
  parseSeconds,
  parseInteger,
} from '#dist/cli/arguments.js';
import { UsageError } from '#dist/cli/failure.js';

test('ring sizes are pages or bytes, as in perf', (t) => {
  t.is(parseRingBytes('1'), 4096);
  t.is(parseRingBytes('64'), 64 * 4096);
  t.is(parseRingBytes('512K'), 512 << 10);
  t.is(parseRingBytes('3M'), 4 << 20);
  t.is(parseRingBytes('256M'), 256 << 20);
  t.is(parseRingBytes('65536'), 256 << 20);
  t.is(parseRingBytes('100B'), 4096);
  for (const text of ['', '0', '3', '-1', '1.5M', 'K', '257M', '1G', '131072', '1T', '999999999', '0K'])
    t.throws(() => parseRingBytes(text), { instanceOf: UsageError }, text);
});

test('the default ring is a power of two for any number of cpus, and all rings together stay within 16 MiB', (t) => {
  for (const cpus of [1, 2, 3, 32, 33, 64, 100, 256]) {
    const bytes = defaultRingBytes(cpus);
    t.is(bytes & (bytes - 1), 0);
    t.true(bytes * cpus <= 16 << 20, `${cpus} cpus`);
  }
  t.is(defaultRingBytes(2), 512 << 10);
});

test('only whole numbers in range are accepted', (t) => {
  t.is(parseInteger('10', 'x', 1, 10), 10);
  for (const text of ['0', '11', '1e1', '0x5', ' 5', '5 ', '', '-5', '5.0'])
    t.throws(() => parseInteger(text, 'x', 1, 10), { instanceOf: UsageError }, text);
  t.deepEqual(parsePids('5,6,5'), [5, 6]);
  for (const text of ['0', '5,', 'self', '4194305']) t.throws(() => parsePids(text), { instanceOf: UsageError }, text);
});

test('seconds may have a fraction', (t) => {
  t.is(parseSeconds('1.5', '--duration'), 1500);
  t.is(parseSeconds('.5', '--duration'), 500);
  t.is(parseSeconds('2147483', '--duration'), 2_147_483_000);
  for (const text of ['0', '-1', 'inf', '1s', '0.0', '2147484', '31536000', '1e10', '.', ''])
    t.throws(() => parseSeconds(text, 'x'), { instanceOf: UsageError }, text);
});

test('an output has a file name', (t) => {
  for (const path of ['x', './x.folded', '/tmp/x', 'a b']) t.is(parseOutput(path), path);
  for (const path of ['', '/', 'x/']) t.throws(() => parseOutput(path), { instanceOf: UsageError });
});
