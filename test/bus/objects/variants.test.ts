import test from 'ava';
import dbus from 'dbus-next';
import fc from 'fast-check';
import { CallError } from '#dist/bus/dbus_error.js';
import { fitStrings, toDictionary, toJson } from '#dist/bus/objects/variants.js';
import { parseInterface } from '#dist/varlink/idl.js';

const v = (signature: string, value: unknown): dbus.Variant<unknown> => new dbus.Variant(signature, value);
const json = (value: unknown): unknown => toJson(value, '');

test('variants, byte arrays and 64-bit integers become JSON', (t) => {
  t.deepEqual(
    json({
      text: v('s', 'x'),
      flag: v('b', true),
      small: v('i', -3),
      big: v('t', 2n ** 53n),
      exact: v('x', -5n),
      bytes: v('ay', Buffer.from([1, 2])),
      list: v('av', [v('u', 1), v('as', ['a'])]),
      inner: v('a{sv}', { deep: v('v', v('s', 'y')) }),
    }),
    {
      text: 'x',
      flag: true,
      small: -3,
      big: '9007199254740992',
      exact: -5,
      bytes: 'AQI=',
      list: [1, ['a']],
      inner: { deep: 'y' },
    },
  );
});

test('fractions, values that are nested too deeply and prototypes are refused', (t) => {
  const refused = (value: unknown, pattern: RegExp): void => {
    const error = t.throws(() => json(value), { instanceOf: CallError });
    t.is(error.error, 'InvalidArgs');
    t.regex(error.message, pattern);
  };
  refused({ rate: v('d', 1.5) }, /rate is not an integer/);
  refused(
    Array(20)
      .fill(0)
      .reduce<unknown>((inner) => v('v', inner), 1),
    /nested too deeply/,
  );
  const spoiled: Record<string, unknown> = {};
  // As dbus-next unpacks a dictionary with the key __proto__.
  spoiled['__proto__'] = v('a{sv}', { ringBytes: v('u', 1) });
  refused(spoiled, /has an unsupported type/);
});

const definition = parseInterface(`interface a.b
type Inner (config: ?string, count: int)
type Outer (kind: (x, y), name: ?string, inner: ?Inner, list: []Inner, names: []string, on: bool, map: [string]string)
method M(outer: Outer) -> ()`);
const outer = definition.types['Outer']!.type;

test('integers become strings where the interface has strings, and nowhere else', (t) => {
  t.deepEqual(
    fitStrings(definition, outer, { name: 5, inner: { config: 7, count: 7 }, list: [{ config: 1 }], other: 3 }),
    {
      name: '5',
      inner: { config: '7', count: 7 },
      list: [{ config: '1' }],
      other: 3,
    },
  );
});

test('an answer becomes a dictionary with the types of the interface, also where lists are empty', (t) => {
  if (outer.kind !== 'struct') return t.fail();
  const made = toDictionary(definition, outer, {
    kind: 'x',
    inner: { count: 3 },
    list: [],
    names: ['a\0b'],
    on: false,
    map: { k: 'w' },
  });
  t.deepEqual(made, {
    kind: v('s', 'x'),
    inner: v('a{sv}', { count: v('x', 3n) }),
    list: v('aa{sv}', []),
    names: v('as', ['a\u{fffd}b']),
    on: v('b', false),
    map: v('a{ss}', { k: 'w' }),
  });
});

test('the JSON of any D-Bus value is bounded and plain', (t) => {
  const leaf = fc.oneof(
    fc.string().map((s) => v('s', s)),
    fc.boolean().map((b) => v('b', b)),
    fc.integer().map((i) => v('i', i)),
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((i) => v('t', i)),
    fc.double().map((d) => v('d', d)),
  );
  const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 6 },
      leaf,
      fc.array(tie('tree'), { maxLength: 4 }).map((items) => v('av', items)),
      fc
        .dictionary(fc.string(), tie('tree') as fc.Arbitrary<object>, { maxKeys: 4, noNullPrototype: true })
        .map((d) => v('a{sv}', d)),
    ),
  }));
  fc.assert(
    fc.property(tree, (value) => {
      try {
        const plain = json(value);
        return JSON.stringify(plain) !== undefined;
      } catch (error) {
        return error instanceof CallError;
      }
    }),
  );
  t.pass();
});
