import test from 'ava';
import { parse } from 'smol-toml';
import type { PolicyProblem } from '#dist/policy/error.js';
import { Positions } from '#dist/policy/load/positions.js';
import { bytes, count, lease, readQuantities } from '#dist/policy/load/quantities.js';
import { TableReader } from '#dist/policy/load/reader.js';

interface Opened {
  readonly reader: TableReader;
  readonly problems: PolicyProblem[];
}
function open(text: string, ...allowed: string[]): Opened {
  const problems: PolicyProblem[] = [];
  const context = { file: 'a.toml', positions: new Positions(text), problems };
  return { reader: new TableReader(parse(text), [], allowed, context), problems };
}
const reported = ({ problems }: Opened): string[] =>
  problems.map(({ line, column, key, message, remedy }) => `${line}:${column} ${key} ${message}. ${remedy}`);

test('quantities have units and ranges', (t) => {
  const keys = {
    ring: { field: 'ring', minimum: 0, maximum: 1024, ...bytes },
    fds: { field: 'fds', minimum: 1, maximum: 5, ...count },
  } as const;
  const good = open('ring = "1 KiB"\nfds = 5\n', 'ring', 'fds');
  t.deepEqual(readQuantities<{ ring: number; fds: number }>(good.reader, keys), { ring: 1024, fds: 5 });
  const bad = open('ring = "1 KB"\nfds = 6\n', 'ring', 'fds');
  t.deepEqual(readQuantities<{ ring: number; fds: number }>(bad.reader, keys), {});
  t.regex(reported(bad)[0] ?? '', /cannot be the text "1 KB"/);
  t.regex(reported(bad)[1] ?? '', /the number 6 is out of range. Allowed: 1 to 5\./);
});

test('the ends of a range are allowed, and a value beyond them is a problem that names both', (t) => {
  const keys = { a: { field: 'a', minimum: 1, maximum: 5000, ...count } } as const;
  const read = (text: string): [object, string[]] => {
    const opened = open(text, 'a');
    return [readQuantities<{ a: number }>(opened.reader, keys), reported(opened)];
  };
  t.deepEqual(read('a = 1\n'), [{ a: 1 }, []]);
  t.deepEqual(read('a = 5000\n'), [{ a: 5000 }, []]);
  for (const value of ['0', '5001'])
    t.deepEqual(read(`a = ${value}\n`)[1], [`1:1 a the number ${value} is out of range. Allowed: 1 to 5,000.`]);
});

test('a lease is a time, and a count is a whole number', (t) => {
  t.is(lease.parse('10 min'), 600);
  t.is(lease.parse('soon'), undefined);
  t.is(count.parse(2.5), undefined);
  t.is(count.parse('2'), undefined);
  t.is(bytes.parse('1 KiB'), 1024);
});
