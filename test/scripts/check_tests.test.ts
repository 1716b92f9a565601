/** scripts/check-tests.js holds the tests to the tree of src. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';

const SCRIPT = new URL('../../../scripts/check-tests.js', import.meta.url).pathname;
const LOGIC = 'export const twice = (n: number): number => 2 * n;\n';
const IMPORT = "import { twice } from '#dist/a/b.js';\n";

interface Checked {
  readonly status: number | null;
  readonly stderr: string;
}

/** Runs the script on a tree of these files. */
function check(t: ExecutionContext, files: Readonly<Record<string, string>>, rows: object = {}): Checked {
  const root = mkdtempSync(join(tmpdir(), 'perfbroker-mirror-'));
  t.teardown(() => rmSync(root, { recursive: true }));
  for (const [path, text] of Object.entries({ ...files, 'rows.json': JSON.stringify(rows) })) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return spawnSync(process.execPath, [SCRIPT, root, join(root, 'rows.json')], { encoding: 'utf8' });
}

const fault = (t: ExecutionContext, { status, stderr }: Checked, pattern: RegExp): void => {
  t.regex(stderr, pattern);
  t.is(status, 1);
};

test('a file with logic needs a test at the mirrored path', (t) => {
  for (const text of [LOGIC, 'export class A {}', 'export function f() {}', 'export const a = { f() {} };'])
    fault(t, check(t, { 'src/a/b.ts': text }), /^src\/a\/b\.ts has no test: write test\/a\/b\.test\.ts/);
  t.like(check(t, { 'src/a/b.ts': LOGIC, 'test/a/b.test.ts': '' }), { status: 0, stderr: '' });
});

test('a file of types and constants needs no test', (t) => {
  const text = 'export type F = (n: number) => number;\nexport interface A { f(): void }\nexport const ONE = 1;\n';
  t.like(check(t, { 'src/a.ts': text }), { status: 0, stderr: '' });
});

test('a row names a test that imports values of the module', (t) => {
  const files = { 'src/a/b.ts': LOGIC };
  const rows = { 'a/b.ts': 'c.test.ts' };
  t.is(check(t, { ...files, 'test/c.test.ts': IMPORT }, rows).status, 0);
  t.is(check(t, { ...files, 'test/c.test.ts': "import '#dist/a/b.js';" }, rows).status, 0);
  fault(t, check(t, files, rows), /names test\/c\.test\.ts, which does not exist/);
  for (const text of ['', IMPORT.replace('import', 'import type'), IMPORT.replace('twice', 'type Twice')])
    fault(t, check(t, { ...files, 'test/c.test.ts': text }, rows), /does not import #dist\/a\/b\.js/);
});

test('a row for a program names text of the test that runs it', (t) => {
  const rows = { 'a/b.ts': { test: 'c.test.ts', runs: "'stat'" } };
  const files = { 'src/a/b.ts': LOGIC, 'test/c.test.ts': "run('stat');" };
  t.is(check(t, files, rows).status, 0);
  fault(t, check(t, { ...files, 'test/c.test.ts': "run('state');" }, rows), /does not contain 'stat'/);
});

test('a row that is not needed is a fault', (t) => {
  const rows = { 'a/b.ts': 'c.test.ts' };
  const files = { 'src/a/b.ts': LOGIC, 'test/c.test.ts': IMPORT };
  fault(t, check(t, { ...files, 'test/a/b.test.ts': IMPORT }, rows), /has a test of its own/);
  fault(t, check(t, { 'src/x.ts': '', 'test/c.test.ts': IMPORT }, rows), /src\/a\/b\.ts does not exist/);
  fault(t, check(t, { ...files, 'src/a/b.ts': 'export const ONE = 1;' }, rows), /has no logic/);
});
