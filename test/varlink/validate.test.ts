import test from 'ava';
import { parseInterface } from '#dist/varlink/idl.js';
import { acceptStruct, validate, validateStruct, ValidationError } from '#dist/varlink/validate.js';

const definition = parseInterface(`interface org.example.test
type Tree (value: int, left: ?Tree, right: ?Tree)
type All (
  b: ?bool, i: ?int, f: ?float, s: ?string, e: ?(on, off), o: ?object, a: ?any, list: ?[](x: int), map: ?[string]int,
  tree: ?Tree, holes: ?[]?int
)
type Needed (name: string, toString: ?string)
`);
const type = (name: string): Parameters<typeof validate>[1] => ({ kind: 'reference', name });

test('values of every type come back equal', (t) => {
  const value = {
    b: false,
    i: Number.MIN_SAFE_INTEGER,
    f: 1.5,
    s: 'ä\u0000😀',
    e: 'off',
    o: { deep: [{ x: null }] },
    a: [1, 'two', null],
    list: [{ x: 1 }, { x: 2 }],
    map: { some: 1, 'odd key': 2 },
    tree: { value: 1, left: { value: 2 } },
    holes: [1, null],
  };
  const result = validate(definition, type('All'), value);
  t.deepEqual(result, value);
  t.not((result as typeof value).o, value.o);
});

test('a nullable field that is null is left out', (t) => {
  t.deepEqual(validate(definition, type('All'), { b: null, i: 1 }), { i: 1 });
});

test('minus zero is zero', (t) => {
  t.true(Object.is((validate(definition, type('All'), { i: -0 }) as { i: number }).i, 0));
});

const refused = test.macro({
  exec: (t, name: string, value: unknown, path: string, message: RegExp) => {
    const error = t.throws(() => validate(definition, type(name), value), { instanceOf: ValidationError, message });
    t.is(error.path, path);
  },
  title: (name) => `${name} is refused by its path`,
});

test('an unknown field', refused, 'All', { c: 1 }, 'c', /not a known field/);
test('an unknown field further in', refused, 'All', { list: [{ x: 1 }, { x: 1, y: 2 }] }, 'list[1].y', /not a known/);
test('a missing field', refused, 'Needed', {}, 'name', /missing/);
test('null in place of a required value', refused, 'Needed', { name: null }, 'name', /a string, not null/);
test('an integer beyond 2^53', refused, 'All', { i: 2 ** 53 }, 'i', /an integer/);
test('a fraction as an integer', refused, 'All', { i: 1.5 }, 'i', /an integer, not 1.5/);
test('an infinite number', refused, 'All', { f: JSON.parse('1e999') as number }, 'f', /a number/);
test('a number as a string', refused, 'All', { i: '1' }, 'i', /an integer, not "1"/);
test('a string with half a surrogate pair', refused, 'All', { s: 'a\ud800' }, 's', /Unicode/);
test('an unknown enum member', refused, 'All', { e: 'maybe' }, 'e', /one of on, off, not "maybe"/);
test('an array as an object', refused, 'All', { tree: [] }, 'tree', /an object, not an array/);
test('an object as an array', refused, 'All', { list: { length: 1 } }, 'list', /an array/);
test('a wrong value in a map', refused, 'All', { map: { 'a.b': true } }, 'map["a.b"]', /an integer/);
test('a value that is not an object', refused, 'All', 'x', '', /an object/);
test('a field __proto__', refused, 'All', JSON.parse('{"__proto__": {"b": true}}'), '__proto__', /not a known field/);

test('a type that contains itself ends at a depth', (t) => {
  let value: object = { value: 0 };
  for (let depth = 0; depth < 10_000; depth++) value = { value: 0, left: value };
  t.throws(() => validate(definition, type('Tree'), value), { instanceOf: ValidationError, message: /too deeply/ });
});

test('nothing is found on prototypes', (t) => {
  t.deepEqual(validate(definition, type('Needed'), { name: 'n' }), { name: 'n' });
});

test('keys named __proto__ in free objects stay keys', (t) => {
  const value: unknown = JSON.parse('{"o": {"__proto__": {"polluted": true}}, "map": {"__proto__": 1}}');
  const result = validate(definition, type('All'), value) as { o: object; map: object };
  t.deepEqual(Object.keys(result.o), ['__proto__']);
  t.is(Object.getPrototypeOf(result.o), Object.prototype);
  t.is((result.o as { polluted?: boolean }).polluted, undefined);
  t.deepEqual(Object.keys(result.map), ['__proto__']);
});

test('a long made-up key is shortened in the error', (t) => {
  const error = t.throws(() => validate(definition, type('All'), { ['k'.repeat(1e6)]: 1 }), {
    instanceOf: ValidationError,
  });
  t.true(error.message.length < 200);
});

test('a client leaves out the fields that a newer service added', (t) => {
  const struct = definition.types['Needed']?.type;
  if (struct?.kind !== 'struct') return t.fail();
  t.deepEqual(acceptStruct(definition, struct, { name: 'n', more: 1 }), { name: 'n' });
  t.throws(() => validateStruct(definition, struct, { name: 'n', more: 1 }), { instanceOf: ValidationError });
});

test('only the fields that a value has are looked at, however many are declared', (t) => {
  let looked = 0;
  const watched = (value: object): object =>
    new Proxy(value, { get: (target, key) => (looked++, Reflect.get(target, key) as unknown) });
  validate(definition, type('All'), watched({}));
  t.is(looked, 0);
  validate(definition, type('All'), watched({ i: 1 }));
  t.is(looked, 1);
});
