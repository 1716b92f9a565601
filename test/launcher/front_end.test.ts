/** dist/bin/perfbroker-bus, which becomes node, with node options that this version of Node.js has. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { fakeNodeTree } from '../tools/fake_node_tree.js';

/** The arguments that a node receives which knows, or does not know, V8's option for WebAssembly. */
function argumentsOf(t: ExecutionContext, knowsOption: boolean): string[] {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-node-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const refuse = knowsOption
    ? ''
    : 'for a; do [ "$a" != --no-expose-wasm ] || { echo "bad option" >&2; exit 9; }; done\n';
  const programs = fakeNodeTree(directory, { 'bin/node': `#!/bin/sh\n${refuse}printf '%s\\n' "$@"\n` });
  const { status, stdout, stderr } = spawnSync(join(programs, 'perfbroker-bus'), ['--bus', 'a b'], {
    encoding: 'utf8',
    env: { PATH: '/usr/bin:/bin' },
  });
  t.deepEqual([status, stderr], [0, '']);
  return stdout.trimEnd().split('\n');
}

test('a node that knows the option for WebAssembly gets it, so that it does not warn', (t) => {
  const found = argumentsOf(t, true);
  t.deepEqual(found.slice(0, 2), ['--jitless', '--no-expose-wasm']);
  t.true(found.includes('--disallow-code-generation-from-strings'));
  t.regex(found.at(-3) ?? '', /\/bus\/main\.js$/);
  t.deepEqual(found.slice(-2), ['--bus', 'a b']);
});

test('a node that does not know the option does not get it', (t) => {
  const found = argumentsOf(t, false);
  t.true(found.includes('--jitless'));
  t.false(found.includes('--no-expose-wasm'));
  t.regex(found.at(-3) ?? '', /\/bus\/main\.js$/);
  t.deepEqual(found.slice(-2), ['--bus', 'a b']);
});
