import test from 'ava';
import { JsonFields } from '#dist/interfaces/json_fields.js';

const fields = (json: unknown): JsonFields => new JsonFields(json, 'event');

test('only objects are read', (t) => {
  for (const json of [null, [], 'x', 1, undefined]) t.throws(() => fields(json), { message: 'event is not an object' });
});

test('null and undefined are absent', (t) => {
  const absent = fields({ name: null, other: undefined });
  t.false(absent.has('name'));
  t.is(absent.string('name'), undefined);
  t.notThrows(() => absent.end());
});

test('64-bit numbers are strings, or numbers that are exact', (t) => {
  t.is(fields({ n: '0xffffffffffffffff' }).u64('n'), (1n << 64n) - 1n);
  t.is(fields({ n: 7 }).u64('n'), 7n);
  for (const n of [-1, 1.5, 2 ** 53, '1e3', '', true])
    t.throws(() => fields({ n }).u64('n'), { message: /64-bit number/ });
  t.throws(() => fields({ n: '18446744073709551616' }).u64('n'), { message: 'event.n is above 2^64-1' });
});

test('lists of names are in the order of the table, without repetition', (t) => {
  t.deepEqual(fields({ list: ['b', 'a'] }).names('list', ['a', 'b', 'c']), ['a', 'b']);
  t.throws(() => fields({ list: ['a', 'a'] }).names('list', ['a', 'b']), { message: 'event.list names a twice' });
  t.throws(() => fields({ list: ['d'] }).names('list', ['a', 'b']), { message: 'event.list: "d" is not one of a, b' });
});

test('a field that was not read is refused by name', (t) => {
  const read = fields({ a: 1, b: 2 });
  t.is(read.integer('a', 0, 5), 1);
  t.throws(() => read.end(), { message: 'event has no field "b" (in this form)' });
});

test('names of Object.prototype are not fields', (t) => {
  t.is(fields({}).value('constructor'), undefined);
  t.is(fields({}).boolean('toString'), false);
});
