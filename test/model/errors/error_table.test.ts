import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { brokerError, ERROR_TABLE } from '#dist/model/errors/error_table.js';
import { BrokerError, ERROR_NAMES, type ErrorName } from '#dist/model/errors/errors.js';
import { errorsDocument } from '#dist/model/errors/errors_doc.js';

test('docs/errors.md matches the table', (t) => {
  t.is(
    readFileSync('docs/errors.md', 'utf8'),
    errorsDocument(),
    'run: node dist/model/errors/errors_doc.js > docs/errors.md',
  );
});

const MORE_PARAMETERS: Readonly<Partial<Record<ErrorName, string>>> = {
  PolicyDenied: ', reasons: []Reason',
  DowngradeFailed: ', processes: []DowngradedProcess',
};

test('the interface definition declares exactly the errors of the table, with the same parameters', (t) => {
  const definition = readFileSync('src/interfaces/org.perfbroker.Broker.varlink', 'utf8');
  const declared = [...definition.matchAll(/^error (\w+) \(([^)]*)\)/gm)].map(([, name, parameters]) => [
    name,
    parameters,
  ]);
  const parameters = 'code: string, message: string, errno: int, cause: string, remedy: string';
  t.deepEqual(
    declared,
    ERROR_NAMES.map((name) => [name, parameters + (MORE_PARAMETERS[name] ?? '')]),
  );
});

test('every code has a cause and a remedy that are sentences', (t) => {
  for (const name of ERROR_NAMES) {
    t.true(Object.keys(ERROR_TABLE[name]).length > 0, name);
    for (const [code, { cause, remedy }] of Object.entries(ERROR_TABLE[name])) {
      t.regex(code, name === 'KernelRefused' ? /^(?:E[A-Z0-9]+|other)$/ : /^[a-z][a-z-]*$/);
      t.regex(cause, /^[A-Za-z"].*\.$/s, `${name} ${code}`);
      t.regex(remedy, /^[A-Z].*\.$/s, `${name} ${code}`);
    }
  }
});

test('every code that the sources use is in the table', (t) => {
  const used = new Set<string>();
  for (const entry of readdirSync('src', { recursive: true, withFileTypes: true })) {
    if (!entry.name.endsWith('.ts')) continue;
    const text = readFileSync(join(entry.parentPath, entry.name), 'utf8');
    for (const [, name, code] of text.matchAll(/brokerError\(\s*'(\w+)',\s*'([\w-]+)'/g)) used.add(`${name} ${code}`);
  }
  t.true(used.size > 10, 'the sources were searched');
  for (const pair of used) {
    const [name = '', code = ''] = pair.split(' ');
    const codes = ERROR_NAMES.filter((known) => known === name).flatMap((known) => Object.keys(ERROR_TABLE[known]));
    t.true(codes.includes(code), pair);
  }
});

test('every code of the table is used by the sources', (t) => {
  const text = readdirSync('src', { recursive: true, withFileTypes: true })
    .filter(({ name }) => name.endsWith('.ts') && !/^error(?:_table|s_doc)\.ts$/.test(name))
    .map(({ name, parentPath }) => readFileSync(join(parentPath, name), 'utf8'))
    .join('\n');
  for (const name of ERROR_NAMES)
    for (const code of Object.keys(ERROR_TABLE[name])) {
      // A word in quotes, or a key.
      t.regex(text, new RegExp(`'${code}'|\\b${code}:`), `${name} ${code}`);
    }
});

test('an error takes cause and remedy from the table', (t) => {
  const error = brokerError('TargetGone', 'exited', 'process 7 has ended');
  t.true(error instanceof BrokerError);
  t.like(error, {
    error: 'TargetGone',
    code: 'exited',
    message: 'process 7 has ended',
    errno: 0,
    explanation: 'The process has ended.',
    details: {},
  });
});

test('errno, cause, remedy and details can be given for the very case', (t) => {
  const error = brokerError('PolicyDenied', 'limit', 'too fast', {
    errno: 13,
    cause: 'c',
    remedy: 'r',
    details: { reasons: [] },
  });
  t.like(error, { errno: 13, explanation: 'c', remedy: 'r', details: { reasons: [] } });
});

test('a code from outside of the table is a fault of the program', (t) => {
  const untyped = brokerError as (name: 'TargetGone', code: string, message: string) => BrokerError;
  t.throws(() => untyped('TargetGone', 'no-such-code', ''), { instanceOf: TypeError });
});
