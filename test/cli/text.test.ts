import test from 'ava';
import { byteText, grouped, jsonText, samplesText, table } from '#dist/cli/text.js';

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

test('a cell cannot add a row or move the cursor, and its escapes count for the width', (t) => {
  const rows = [
    ['x\nfeed 0 1 ok', 'a\tb'],
    ['y', '\u001b[2J\u202e'],
  ];
  t.is(table(rows), `x\\u{000a}feed 0 1 ok  a\\u{0009}b\ny${' '.repeat(21)}\\u{001b}[2J\\u{202e}\n`);
});

test('JSON has the same value, and no character that a terminal interprets', (t) => {
  const value = { name: 'x\n\u009b\u2028\u202e\u{e0041} ü 日本 😀', list: [1] };
  t.is(jsonText(value), '{"name":"x\\n\\u009b\\u2028\\u202e\\udb40\\udc41 ü 日本 😀","list":[1]}\n');
  t.deepEqual(JSON.parse(jsonText(value, 2)), value);
  t.regex(jsonText(value, 2), /^\{\n {2}"name"/);
});
