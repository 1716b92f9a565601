/** The bash completion offers what the command line takes, and bash takes the completion. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { help } from '../docs/documents.js';
import { ROOT } from '../e2e/daemon.js';

const FILE = join(ROOT, 'packaging/bash-completion/perfbroker');
const COMMANDS = [...help('perfbroker').matchAll(/^ {2}(\w+)(?:\|(\w+))? \[(?:options|COMMAND)\]/gm)].flatMap((match) =>
  match.slice(1).filter((name) => name !== undefined),
);

/** Completions that bash offers for `perfbroker` after these words, the last of them being typed. */
function complete(...words: string[]): string[] {
  return completeWith(process.env['PATH'] ?? '', ...words);
}

function completeWith(path: string, ...words: string[]): string[] {
  const script = `
    . "$1" || exit 2
    [[ $(complete -p perfbroker) =~ -F\\ ([a-z_]+) ]] || exit 3
    COMP_WORDS=("\${@:2}") COMP_CWORD=$(($# - 2))
    "\${BASH_REMATCH[1]}" perfbroker "\${COMP_WORDS[COMP_CWORD]}" "\${COMP_WORDS[COMP_CWORD-1]}"
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const run = spawnSync('bash', ['--norc', '-c', script, 'bash', FILE, 'perfbroker', ...words], {
    encoding: 'utf8',
    env: { ...process.env, PATH: path },
  });
  if (run.status !== 0) throw new Error(`bash ended with ${run.status}: ${run.stderr}`);
  return run.stdout.split('\n').filter((line) => line !== '');
}

test('the first word is a command', (t) => {
  t.deepEqual(complete('').sort(), [...COMMANDS].sort());
  t.deepEqual(complete('re').sort(), COMMANDS.filter((name) => name.startsWith('re')).sort());
  t.deepEqual(complete('--socket', '/run/other.sock', 'st'), ['stat']);
});

for (const command of COMMANDS) {
  test(`the options of ${command} are those that --help has`, (t) => {
    const offered = command === 'help' ? '  --help' : help('perfbroker', command);
    const expected = [...offered.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)].map((match) => match[1] ?? '');
    t.deepEqual(complete(command, '--').sort(), expected.sort());
  });
}

test('options before a command are those of perfbroker itself', (t) => {
  const expected = [...help('perfbroker').matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)].map((match) => match[1] ?? '');
  t.deepEqual(complete('--').sort(), expected.sort());
});

test('a process is one that runs, an event one of a list, a capability one that exists', (t) => {
  t.true(complete('record', '-p', '').includes(String(process.pid)));
  t.deepEqual(complete('stat', '-e', 'page-faults,task'), ['page-faults,task-clock']);
  t.deepEqual(complete('run', '--drop', 'cap_perf'), ['cap_perfmon']);
});

test('the words after -- belong to another program and are not completed as our options', (t) => {
  t.true(complete('record', '--', 'bas').includes('bash'));
  t.false(complete('record', '--', 'ls', '--').some((word) => word.startsWith('--')));
});

test('policy check takes a file', (t) => {
  t.deepEqual(complete('policy', ''), ['check']);
  t.deepEqual(complete('policy', 'check', join(ROOT, 'package.j')), [join(ROOT, 'package.json')]);
});

test('ids of grants are offered, and nothing that a broker puts in their place is run', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-completion-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const mark = join(directory, 'run');
  const id = '0123456789abcdef01234567';
  const grants = [{ id }, { id: `$(touch ${mark})` }, { id: `\`touch ${mark}\`` }, { grant: `$(touch ${mark})` }];
  writeFileSync(join(directory, 'perfbroker'), `#!/bin/sh\ncat <<'END'\n${JSON.stringify(grants)}\nEND\n`, {
    mode: 0o755,
  });
  t.deepEqual(completeWith(`${directory}:${process.env['PATH'] ?? ''}`, 'revoke', ''), [id]);
  t.false(existsSync(mark));
});
