import test from 'ava';
import { BROKER_INTERFACE } from '#dist/interfaces/broker_interface.js';
import { IdlError } from '#dist/varlink/idl_scanner.js';
import { parseInterface } from '#dist/varlink/idl.js';

const HEAD = 'interface org.example.test\n';

test('a definition keeps names, types, comments and its own text', (t) => {
  const source = `# What it is.
# In two lines.
interface org.example.some-thing

# not about T, for a blank line follows

# A state.
type State (on, off)
type T (a: ?[]string, b: [string](x: int), c: State, d: (p, q), interface: object, any_thing: ?any) # trailing
method Do(t: T) -> (f: float, g: bool)
method None()->()
error Broken (why: string)
`;
  const parsed = parseInterface(source);
  t.is(parsed.name, 'org.example.some-thing');
  t.is(parsed.comment, 'What it is.\nIn two lines.');
  t.is(parsed.description, source);
  t.is(parsed.types['State']?.comment, 'A state.');
  t.deepEqual(parsed.types['State']?.type, { kind: 'enum', members: ['on', 'off'] });
  t.deepEqual(parsed.types['T']?.type, {
    kind: 'struct',
    fields: [
      { name: 'a', type: { kind: 'nullable', element: { kind: 'array', element: { kind: 'string' } } } },
      {
        name: 'b',
        type: { kind: 'map', element: { kind: 'struct', fields: [{ name: 'x', type: { kind: 'int' } }] } },
      },
      { name: 'c', type: { kind: 'reference', name: 'State' } },
      { name: 'd', type: { kind: 'enum', members: ['p', 'q'] } },
      { name: 'interface', type: { kind: 'object' } },
      { name: 'any_thing', type: { kind: 'nullable', element: { kind: 'any' } } },
    ],
  });
  t.deepEqual(parsed.methods['None'], {
    name: 'None',
    comment: '',
    input: { kind: 'struct', fields: [] },
    output: { kind: 'struct', fields: [] },
  });
  t.deepEqual(Object.keys(parsed.errors), ['Broken']);
});

test('a parsed interface is frozen through and through, and has no inherited names', (t) => {
  const { types, methods } = parseInterface(`${HEAD}type T (a: (b: int))`);
  t.true(Object.isFrozen(types) && Object.isFrozen(types['T']) && Object.isFrozen(types['T']?.type));
  for (const name of ['__proto__', 'constructor', 'toString']) t.is(methods[name], undefined);
});

test('the definition of the broker parses', (t) => {
  t.is(BROKER_INTERFACE.name, 'org.perfbroker.Broker');
  t.true(Object.keys(BROKER_INTERFACE.methods).includes('Open'));
  t.regex(BROKER_INTERFACE.methods['Explain']?.comment ?? '', /opens nothing/);
});

const refused = test.macro({
  exec: (t, source: string, line: number, column: number, message: RegExp) => {
    const error = t.throws(() => parseInterface(source), { instanceOf: IdlError, message });
    t.deepEqual([error.line, error.column], [line, column]);
  },
  title: (name) => `${name} is an error with its place`,
});

test('an empty text', refused, '', 1, 1, /expected "interface", found the end/);
test('an interface name without a dot', refused, 'interface Foo', 1, 11, /interface name/);
test('an unknown keyword', refused, `${HEAD}metod Do() -> ()`, 2, 1, /type, method or error/);
test('a member name in small letters', refused, `${HEAD}type state (a, b)`, 2, 6, /capital/);
test('an unknown type', refused, `${HEAD}type A (b: B)`, 2, 12, /type B is not defined/);
test('a type that is inherited by every object', refused, `${HEAD}type A (b: Constructor)`, 2, 12, /not defined/);
test('a name that is defined twice', refused, `${HEAD}type A ()\nerror A ()`, 3, 7, /defined twice/);
test('a field that occurs twice', refused, `${HEAD}type A (b: int, b: int)`, 2, 17, /twice/);
test('an enum as parameters', refused, `${HEAD}error A (b, c)`, 2, 9, /named fields/);
test('fields and enum members in one list', refused, `${HEAD}type A (b, c: int)`, 2, 13, /expected ","/);
test('a doubly nullable type', refused, `${HEAD}type A (b: ??int)`, 2, 13, /only once/);
test('a map with keys other than strings', refused, `${HEAD}type A (b: [int]int)`, 2, 13, /expected "]"/);
test('an unexpected character', refused, `${HEAD}type A (b; int)`, 2, 10, /unexpected ";"/);
test('a method without a reply', refused, `${HEAD}method A ()`, 2, 12, /expected "->", found the end/);
test('very deep nesting', refused, `${HEAD}type A (b: ${'[]'.repeat(1000)}int)`, 2, 76, /too deeply/);
