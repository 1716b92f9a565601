import test from 'ava';
import { byteText, grouped, samplesText, table } from '#dist/cli/text.js';

test('numbers have groups of three digits', (t) => {
  t.is(grouped(999), '999');
  t.is(grouped(1_234_567n), '1,234,567');
  t.is(samplesText(1n), '1 sample');
  t.is(samplesText(0), '0 samples');
  t.is(samplesText(1234), '1,234 samples');
});

test('sizes have the largest unit that fits', (t) => {
  t.is(byteText(512), '512 B');
  t.is(byteText(1536), '1.5 KiB');
  t.is(byteText(12 << 20), '12.0 MiB');
  t.is(byteText(2 ** 60), '1048576.0 TiB');
});

test('columns are as wide as their widest cell, and lines end without spaces', (t) => {
  const rows = [
    ['a', '1', 'x'],
    ['long', '100', ''],
  ];
  t.is(table(rows, [1]), 'a       1  x\nlong  100\n');
  t.is(table([]), '');
});
