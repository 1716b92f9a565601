import test from 'ava';
import { readFileSync } from 'node:fs';
import { EVENT_CLASSES } from '#dist/model/event.js';
import { BUILT_IN_LIMITS, LIMIT_KEYS } from '#dist/policy/load/limits.js';
import { lintPolicy } from '#dist/policy/check/lint.js';
import { builtIn } from '#dist/policy/load/load.js';
import { parsePolicy } from '#dist/policy/load/parse.js';
import { SUBJECT_KEYS, TARGET_KEYS } from '#dist/policy/load/selectors.js';
import { BUILT_IN_SERVICE, SERVICE_KEYS } from '#dist/policy/load/service.js';
import { names } from './fixtures.js';

// Tests run from the top of the tree.
const text = readFileSync('docs/policy.md', 'utf8');
const examples = [...text.matchAll(/^```toml\n(.*?)^```$/gms)].map((match) => match[1] ?? '');

test('there are examples', (t) => {
  t.true(examples.length >= 5);
});

for (const [index, example] of examples.entries()) {
  test(`example ${index + 1} of docs/policy.md loads without a warning`, (t) => {
    const isDropIn = example.includes('policy.d/');
    const policy = parsePolicy(
      [...(isDropIn ? [builtIn()] : []), { file: `example ${index + 1}`, text: example }],
      names,
    );
    t.true(policy.rules.length > 0);
    t.deepEqual(lintPolicy(policy), []);
  });
}

test('every key and class has a row in the tables', (t) => {
  const rows = new Set(
    [...text.matchAll(/^\| (`[^|]*`) +\|/gm)].flatMap((match) => (match[1] ?? '').replaceAll('`', '').split(', ')),
  );
  const keys = [
    ...SUBJECT_KEYS,
    ...TARGET_KEYS,
    ...EVENT_CLASSES,
    ...Object.keys(LIMIT_KEYS),
    ...Object.keys(SERVICE_KEYS),
  ];
  t.deepEqual(
    keys.filter((key) => !rows.has(key)),
    [],
  );
});

const page = readFileSync('docs/man/perfbroker.policy.5', 'utf8');
const DEFAULTS: readonly (readonly [where: string, cell: (key: string) => string | undefined])[] = [
  [
    'the tables of docs/policy.md give',
    (key) => new RegExp(`^\\| \`${key}\` +\\| ([^|]*?) +\\|`, 'm').exec(text)?.[1]?.replaceAll('`', ''),
  ],
  [
    'perfbroker.policy(5) gives',
    (key) => new RegExp(`^\\.BR ${key} " \\((.*)\\)"$`, 'm').exec(page)?.[1]?.replaceAll('\\(dq', '"'),
  ],
];
for (const [where, cell] of DEFAULTS)
  test(`${where} the defaults that are built in`, (t) => {
    const tableOf = (table: string): string =>
      Object.keys(table === 'limits' ? LIMIT_KEYS : SERVICE_KEYS)
        .map((key) => `${key} = ${cell(key) ?? ''}`)
        .join('\n');
    const policy = parsePolicy(
      [
        {
          file: 'docs',
          text: `[limits]\n${tableOf('limits')}\n[service]\n${tableOf('service')}\n${examples[0]?.slice(examples[0].indexOf('[[rule]]')) ?? ''}`,
        },
      ],
      names,
    );
    t.deepEqual(policy.rules[0]?.limits, BUILT_IN_LIMITS);
    t.deepEqual(policy.service, BUILT_IN_SERVICE);
  });
