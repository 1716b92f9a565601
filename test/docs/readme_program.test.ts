/** The program in the README runs as it stands there, as a user who may not open events, against the exported package. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { ALICE, readableTree } from '../e2e/as_user.js';
import { noPrivilege, startDaemon } from '../e2e/daemon.js';
import { parsePolicy } from '#dist/policy/load/parse.js';
import { blocks, read } from './documents.js';

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test : test.skip;
const readme = read('README.md');

privileged('the program in the README counts the cpu time of its threads', async (t) => {
  const daemon = await startDaemon();
  t.teardown(() => daemon.stop());
  const directory = join(daemon.directory, 'program');
  mkdirSync(join(directory, 'node_modules'), { recursive: true });
  symlinkSync(readableTree(), join(directory, 'node_modules/perfbroker'));
  writeFileSync(join(directory, 'program.mjs'), blocks(readme, 'js')[0] ?? '');
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(directory, 'program.mjs')], {
    uid: ALICE,
    gid: ALICE,
    cwd: '/',
    env: { PERFBROKER_SOCKET: daemon.socket },
    encoding: 'utf8',
    timeout: 30_000,
  });
  t.is(status, 0, stderr);
  t.regex(stdout, /^(\d+ \d+n\n){2,}$/);
});

test('the policy in the README is valid', (t) => {
  const names = { user: () => 1, group: () => 1 };
  const policy = parsePolicy([{ file: 'README.md', text: blocks(readme, 'toml')[0] ?? '' }], names);
  t.is(policy.rules.length, 1);
});
