import { readFileSync } from 'node:fs';
import test from 'ava';
import {
  EVENT_FLAGS,
  EventFlag,
  EXCLUSION_MODIFIERS,
  EXCLUSIONS,
  FIELD_MODIFIERS,
  FLAG_FIELDS,
  flagFields,
  KERNEL_RECORDS,
  SIDE_RECORDS,
} from '#dist/model/event_flags.js';
import { FLAG_BITS } from '#dist/model/events/attr/attr_layout.js';

const read = (path: string): string => readFileSync(path, 'utf8');

test('flags have the bits of EventFlag in native/protocol/opener.h', (t) => {
  const body = /enum EventFlag[^{]*\{([^}]*)\}/.exec(read('native/protocol/opener.h'))?.[1] ?? '';
  const expected = [...body.matchAll(/\bk(\w+) = 1ull << (\d+),/g)].map(([, name = '', bit]) => [
    name.charAt(0).toLowerCase() + name.slice(1),
    Number(bit),
  ]);
  t.deepEqual(
    EVENT_FLAGS.map(({ name }, bit) => [name, bit]),
    expected,
  );
  t.is(EventFlag.writeBackward, 1n << 32n);
});

test("flags have the bits of the attr that the opener's own table gives them", (t) => {
  const body = /kAttrBits\[\] = \{([^}]*)\}/.exec(read('native/core/perf_event.cc'))?.[1] ?? '';
  t.deepEqual(
    EVENT_FLAGS.map(({ attrBit }) => attrBit),
    body.split(',').map(Number),
  );
});

test('no two flags share a bit or a name, and each stands for one thing', (t) => {
  t.is(new Set(EVENT_FLAGS.map(({ attrBit }) => attrBit)).size, EVENT_FLAGS.length);
  t.is(new Set(EVENT_FLAGS.map(({ name }) => name)).size, EVENT_FLAGS.length);
  for (const row of EVENT_FLAGS) {
    const keys = ['field', 'exclude', 'record', 'impliedBy'].filter((key) => key in row);
    t.is(keys.length, 1, row.name);
    t.is(FLAG_BITS[row.attrBit], row.name);
  }
});

test('the interface definition has every boolean field of an event, and no other', (t) => {
  const body = /type Event \(([^)]*)\)/.exec(read('src/interfaces/org.perfbroker.Broker.varlink'))?.[1] ?? '';
  const fields = [...body.matchAll(/(\w+): \?bool/g)].map(([, name]) => name);
  t.deepEqual(fields.sort(), [...FLAG_FIELDS].sort());
});

test('docs/events.md lists every exclusion, record and boolean field', (t) => {
  const rows = read('docs/events.md')
    .split('\n')
    .map((line) => line.split('|').map((cell) => cell.trim()));
  const names = (cell: string | undefined): string[] => (cell ?? '').replaceAll('`', '').split(', ');
  t.deepEqual(names(rows.find((row) => row[1] === '`exclude`')?.[2]), [...EXCLUSIONS]);
  t.deepEqual(names(rows.find((row) => row[1] === '`records`')?.[2]), [...SIDE_RECORDS]);
  t.deepEqual(names(rows.find((row) => row[2] === 'true or false')?.[1]).sort(), [...FLAG_FIELDS].sort());
});

test('every boolean field gets its value', (t) => {
  const fields = flagFields((field) => field === 'pinned');
  t.deepEqual(Object.keys(fields), [...FLAG_FIELDS]);
  t.deepEqual(
    FLAG_FIELDS.filter((field) => fields[field]),
    ['pinned'],
  );
});

test('letters of modifiers are single and used once', (t) => {
  const letters = [...FIELD_MODIFIERS, ...EXCLUSION_MODIFIERS].map(([letter]) => letter);
  t.is(new Set(letters).size, letters.length);
  for (const letter of letters) t.regex(letter, /^[A-Za-z]$/);
});

test('records that show the kernel are records', (t) => {
  t.deepEqual(
    KERNEL_RECORDS.filter((record) => !SIDE_RECORDS.includes(record)),
    [],
  );
  t.deepEqual([...KERNEL_RECORDS], ['namespaces', 'ksymbol', 'bpf_event', 'text_poke']);
});
