/** scripts/in-parallel decides whether `npm test` passes. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';

const ROOT = new URL('../../../', import.meta.url).pathname;

function inParallel(...commands: readonly string[]): { readonly status: number | null; readonly stdout: string } {
  return spawnSync(join(ROOT, 'scripts/in-parallel'), commands, { encoding: 'utf8' });
}

test('the output of the last command comes first, and that of the others under their names', (t) => {
  const { status, stdout } = inParallel('echo "a b"', 'echo c >&2', 'echo d');
  t.is(status, 0);
  t.is(stdout, 'd\n--- echo "a b"\na b\n--- echo c >&2\nc\n');
});

test('any command that fails makes the whole run fail', (t) => {
  for (const commands of [
    ['false', 'true', 'true'],
    ['true', 'exit 77', 'true'],
    ['true', 'true', 'false'],
    ['kill -9 $$', 'true'],
  ])
    t.is(inParallel(...commands).status, 1, commands.join());
  t.regex(inParallel('exit 3', 'true').stdout, /^--- failed with exit code 3: exit 3$/m);
});

test('commands run side by side', (t) => {
  // Each waits for the other: one after the other they would never end.
  const run = spawnSync(
    'sh',
    [
      '-c',
      'd=$(mktemp -d); mkfifo "$d/a" "$d/b"; export d; "$0" "echo x >\\$d/a; cat \\$d/b" "cat \\$d/a; echo y >\\$d/b"; rm -r "$d"',
      join(ROOT, 'scripts/in-parallel'),
    ],
    { encoding: 'utf8' },
  );
  t.is(run.stdout, 'x\n--- echo x >$d/a; cat $d/b\ny\n');
});

test('a run of one command is that command', (t) => {
  t.deepEqual([inParallel('exit 1').status, inParallel('echo a').stdout], [1, 'a\n']);
});

test('Ctrl-C ends every command and the processes that it has started', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-in-parallel-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'pid');
  const commands = [`sleep 1000 & echo $! >${file}.new; mv ${file}.new ${file}; wait`, 'exec sleep 1001'];
  const child = spawn(join(ROOT, 'scripts/in-parallel'), commands, { detached: true, stdio: 'ignore' });
  while (!existsSync(file)) await sleep(20);
  const started = `/proc/${readFileSync(file, 'latin1').trim()}`;
  t.true(existsSync(started));
  // A terminal sends the signal to the whole foreground group.
  process.kill(-child.pid!, 'SIGINT');
  const [code] = (await once(child, 'exit')) as [number | null];
  t.is(code, 130);
  while (existsSync(started)) await sleep(20);
});
