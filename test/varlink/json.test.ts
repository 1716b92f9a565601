import test from 'ava';
import fc from 'fast-check';
import { ProtocolError } from '#dist/varlink/framing.js';
import { parseJsonObject } from '#dist/varlink/json.js';

test('every JSON object comes through', (t) => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 5 })), (value) => {
      const text = JSON.stringify(value);
      t.deepEqual(parseJsonObject(Buffer.from(text), { depth: 64, values: Infinity }), JSON.parse(text));
    }),
    { numRuns: 300 },
  );
});

const refused = test.macro({
  exec: (t, text: string | Uint8Array, message: RegExp) => {
    t.throws(() => parseJsonObject(Buffer.from(text), { depth: 4, values: 10 }), {
      instanceOf: ProtocolError,
      message,
    });
  },
  title: (name) => `${name} is refused`,
});

test('nesting of 100,000 arrays', refused, '['.repeat(100_000), /deeper than 4/);
test('nesting of 100,000 objects', refused, '{"a":'.repeat(100_000), /deeper than 4/);
test('nesting hidden behind an escaped quote', refused, '{"\\"":[[[[]]]]}', /deeper than 4/);
test('an array of more values than the limit', refused, `{"a":[${'1,'.repeat(8)}1]}`, /more than 10 values/);
test('an object of more fields than the limit', refused, `{"a":1${',"b":1'.repeat(9)}}`, /more than 10 values/);
test('more values than the limit in many small arrays', refused, '{"a":[[1,1],[1,1],[1,1]]}', /more than 10 values/);
test('more values than the limit, before it is known to be JSON', refused, ','.repeat(100_000), /more than 10 values/);
test('invalid UTF-8', refused, Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d), /UTF-8/);
test('a UTF-16 surrogate in UTF-8', refused, Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22), /UTF-8/);
test('a byte order mark', refused, '\ufeff{}', /not JSON/);
test('garbage', refused, 'GET / HTTP/1.1\r\n', /not JSON/);
test('half an object', refused, '{"a":', /not JSON/);
test('two objects', refused, '{}{}', /not JSON/);
test('an array', refused, '[]', /not a JSON object/);
test('null', refused, 'null', /not a JSON object/);
test('a string', refused, '"{}"', /not a JSON object/);

test('brackets in strings are not nesting, and depth counts the brackets that are open at once', (t) => {
  const values = Infinity;
  t.notThrows(() => parseJsonObject(Buffer.from('{"[[[[[[{{{{": "]]]}}}\\\\"}'), { depth: 1, values }));
  t.notThrows(() => parseJsonObject(Buffer.from(`{"a":[${'[],'.repeat(1000)}{}]}`), { depth: 3, values }));
});

test('as many values as the limit are accepted, with any text in their strings', (t) => {
  const limits = { depth: 4, values: 10 };
  t.notThrows(() => parseJsonObject(Buffer.from(`{"a":[${'"[,{,",'.repeat(7)}1]}`), limits));
  t.notThrows(() => parseJsonObject(Buffer.from(`{"a":1${',"b,":1'.repeat(8)}}`), limits));
});

test('no value escapes the count', (t) => {
  const count = (value: unknown): number =>
    typeof value === 'object' && value !== null
      ? Object.values(value).reduce<number>((sum, each) => sum + count(each), 1)
      : 1;
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 5 })), (value) => {
      const parsed = JSON.parse(JSON.stringify(value)) as object;
      const limits = { depth: 64, values: count(parsed) - 1 };
      t.throws(() => parseJsonObject(Buffer.from(JSON.stringify(parsed)), limits), { message: /values/ });
    }),
    { numRuns: 300 },
  );
});
