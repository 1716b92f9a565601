import test from 'ava';
import { parse } from 'smol-toml';
import type { PolicyProblem } from '#dist/policy/error.js';
import { Positions } from '#dist/policy/load/positions.js';
import { describe, isTable, Refusal, TableReader } from '#dist/policy/load/reader.js';

interface Opened {
  readonly reader: TableReader;
  readonly problems: PolicyProblem[];
}
function open(text: string, ...allowed: string[]): Opened {
  const problems: PolicyProblem[] = [];
  const context = { file: 'a.toml', positions: new Positions(text), problems };
  return { reader: new TableReader(parse(text), [], allowed, context), problems };
}
const told = ({ problems }: Opened): string[] =>
  problems.map(({ line, column, key, message, remedy }) => `${line}:${column} ${key} ${message}. ${remedy}`);

test('a key that is not allowed is a problem at its place, with a guess', (t) => {
  t.deepEqual(told(open('usres = 1\n', 'users')), [
    '1:1 usres is not a known key. Did you mean "users"? Allowed here: users.',
  ]);
});

test('a boolean is true, false or a problem', (t) => {
  const opened = open('a = true\nb = "true"\n', 'a', 'b', 'c');
  t.true(opened.reader.boolean('a'));
  t.false(opened.reader.boolean('b'));
  t.false(opened.reader.boolean('c'));
  t.deepEqual(told(opened), ['2:1 b must be true or false, not the text "true". Write it without quotes.']);
});

test('the elements of a list are read one by one, each without its double', (t) => {
  const opened = open('a = [1, 2, 2, "x"]\n', 'a');
  const read = (value: unknown): number | Refusal =>
    typeof value === 'number' ? value : new Refusal(`${describe(value)} is not a number`, 'Write one.');
  t.deepEqual(opened.reader.list('a', 'numbers', read), [1, 2]);
  t.deepEqual(told(opened), ['1:15 a the text "x" is not a number. Write one.']);
});

test('values are described as an administrator wrote them', (t) => {
  t.is(describe('x'), 'the text "x"');
  t.is(describe(1), 'the number 1');
  t.is(describe([]), 'a list');
  t.is(describe({}), 'a table');
  t.is(describe(parse('d = 2020-01-01')['d']), 'a date');
  t.false(isTable(parse('d = 2020-01-01')['d']));
});
