import test from 'ava';
import fc from 'fast-check';
import { ProtocolError } from '#dist/varlink/framing.js';
import { parseJsonObject } from '#dist/varlink/json.js';

test('every JSON object comes through', (t) => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 5 })), (value) => {
      const text = JSON.stringify(value);
      t.deepEqual(parseJsonObject(Buffer.from(text), 64), JSON.parse(text));
    }),
    { numRuns: 300 },
  );
});

const refused = test.macro({
  exec: (t, text: string | Uint8Array, message: RegExp) => {
    t.throws(() => parseJsonObject(Buffer.from(text), 4), { instanceOf: ProtocolError, message });
  },
  title: (name) => `${name} is refused`,
});

test('nesting of 100,000 arrays', refused, '['.repeat(100_000), /deeper than 4/);
test('nesting of 100,000 objects', refused, '{"a":'.repeat(100_000), /deeper than 4/);
test('nesting hidden behind an escaped quote', refused, '{"\\"":[[[[]]]]}', /deeper than 4/);
test('invalid UTF-8', refused, Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d), /UTF-8/);
test('a UTF-16 surrogate in UTF-8', refused, Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22), /UTF-8/);
test('a byte order mark', refused, '\ufeff{}', /not JSON/);
test('garbage', refused, 'GET / HTTP/1.1\r\n', /not JSON/);
test('half an object', refused, '{"a":', /not JSON/);
test('two objects', refused, '{}{}', /not JSON/);
test('an array', refused, '[]', /not a JSON object/);
test('null', refused, 'null', /not a JSON object/);
test('a string', refused, '"{}"', /not a JSON object/);

test('brackets in strings are no nesting, and depth counts what is open at once', (t) => {
  t.notThrows(() => parseJsonObject(Buffer.from('{"[[[[[[{{{{": "]]]}}}\\\\"}'), 1));
  t.notThrows(() => parseJsonObject(Buffer.from(`{"a":[${'[],'.repeat(1000)}{}]}`), 3));
});
