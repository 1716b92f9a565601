import test from 'ava';
import fc from 'fast-check';
import { parse, stringify, TomlError } from 'smol-toml';
import { Positions, type TomlPath } from '#dist/policy/load/positions.js';

const DOCUMENT = `# rules
limits.ring = "8 MiB" # [not] = "a key"
"quoted \\"key\\"" = '''
[[rule]]
''''

[[rule]]
name = "first"
subjects = { users = ["a", # ]
  "b"], everyone = true }

[[rule]]
  name = """second\\
  "rule" [[rule]]"""
[rule.targets]
same_user = true
[rule.limits]
'fds' = 1
`;

const places: [TomlPath, number, number][] = [
  [['limits', 'ring'], 2, 1],
  [['quoted "key"'], 3, 1],
  [['rule', 0], 7, 1],
  [['rule', 0, 'name'], 8, 1],
  [['rule', 0, 'subjects', 'users'], 9, 14],
  [['rule', 0, 'subjects', 'users', 0], 9, 23],
  [['rule', 0, 'subjects', 'users', 1], 10, 3],
  [['rule', 0, 'subjects', 'everyone'], 10, 9],
  [['rule', 1, 'name'], 13, 3],
  [['rule', 1, 'targets'], 15, 1],
  [['rule', 1, 'targets', 'same_user'], 16, 1],
  [['rule', 1, 'limits', 'fds'], 18, 1],
];
for (const [path, line, column] of places) {
  test(`the scanner finds ${path.join('.')} in line ${line}`, (t) => {
    t.deepEqual(new Positions(DOCUMENT).find(path), { line, column });
  });
}

test('a key that is not there has the place of its table', (t) => {
  t.deepEqual(new Positions(DOCUMENT).find(['rule', 1, 'limits', 'frequency']), { line: 17, column: 1 });
  t.is(new Positions(DOCUMENT).find(['nothing']), undefined);
});

test('every key of any document has a place whose line holds the key or opens its table', (t) => {
  const key = fc.oneof(fc.constantFrom('a', 'b-c', 'rule'), fc.string({ minLength: 1, maxLength: 5 }));
  const leaf = fc.oneof(fc.integer({ min: -9, max: 9 }), fc.boolean(), fc.string(), fc.double({ noNaN: true }));
  const { table } = fc.letrec<{ table: Record<string, unknown>; value: unknown }>((tie) => ({
    table: fc.dictionary(key, tie('value'), { maxKeys: 4, noNullPrototype: true }),
    value: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      leaf,
      tie('table'),
      fc.array(tie('table'), { maxLength: 3 }),
      fc.array(leaf, { maxLength: 3 }),
    ),
  }));
  let checked = 0;
  fc.assert(
    fc.property(table, (document) => {
      let text;
      try {
        text = stringify(document);
      } catch {
        return;
      }
      const positions = new Positions(text);
      const lines = text.split('\n');
      for (const path of leavesOf(parse(text))) {
        const place = positions.find(path);
        t.truthy(place, `${JSON.stringify(path)} in ${text}`);
        const line = lines[(place?.line ?? 0) - 1]?.slice((place?.column ?? 0) - 1) ?? '';
        const name = path.at(-1);
        // A quoted key is written with escapes; the others as they are.
        if (typeof name === 'string' && /^[A-Za-z0-9_-]+$/.test(name))
          t.regex(line, new RegExp(`^"?${name}"? =`), text);
        checked++;
      }
    }),
    { numRuns: 300 },
  );
  t.true(checked > 300);
});

test('the scanner ends on anything, TOML or not', (t) => {
  const pieces = fc.constantFrom('[', ']', '[[', '{', '}', '"', "'", '"""', '\\', '=', '.', ',', '\n', '#', 'a', ' ');
  t.notThrows(() =>
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 30 }), (parts) => {
        try {
          new Positions(parts.join(''));
        } catch (error) {
          // Decoding of a broken quoted key; the parser before us would have refused it.
          if (!(error instanceof TomlError)) throw error;
        }
      }),
      { numRuns: 2000 },
    ),
  );
});

function* leavesOf(value: unknown, path: TomlPath = []): Generator<TomlPath> {
  if (Array.isArray(value)) {
    for (const [index, element] of (value as unknown[]).entries()) {
      if (typeof element === 'object') yield* leavesOf(element, [...path, index]);
    }
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, inner] of Object.entries(value)) {
      if (typeof inner !== 'object') yield [...path, key];
      else yield* leavesOf(inner, [...path, key]);
    }
  }
}
