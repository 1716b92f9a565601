/** The two parsers of `perfbroker run`: the launcher's, which finds CMD, and the collector's, which checks values. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { Command } from 'commander';
import { define, hiddenText } from '#dist/cli/commands/run.js';
import { ALICE, NO_BROKER, launcher } from './support.js';

const LAUNCHER = fileURLToPath(new URL('../../../dist/bin/perfbroker', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'perfbroker-options-'));
test.after.always(() => {
  rmSync(directory, { recursive: true, force: true });
});

function perfbroker(...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  const env = { ...process.env, PERFBROKER_SOCKET: NO_BROKER };
  return spawnSync(LAUNCHER, args, { encoding: 'utf8', cwd: directory, env });
}

/** A value that each option takes; the launcher's own ones are checked by it. */
const VALUES: Readonly<Record<string, string>> = {
  '--drop': 'net_raw',
  '--keep': 'perfmon',
  '--event': 'page-faults:u',
  '--freq': '99',
  '--count': '5',
  '--mmap-pages': '8',
  '--duration': '1',
  '--output': 'x.data',
};

test('launcher and collector know the same options, and which of them take a value', (t) => {
  const command = new Command('run');
  define(command);
  for (const { long, short, required } of command.options) {
    for (const name of [long, short]) {
      if (name === undefined || name === null) continue;
      const value = required ? [VALUES[long ?? ''] ?? 'no value in this test'] : [];
      // CMD is what the launcher takes for it: a value that is mistaken for CMD, or CMD for a value, would show.
      const { status, stderr } = perfbroker('run', '--require', name, ...value, 'no-such-command');
      if (long === '--lock' && status === 125) continue;
      t.true(status === 127 || status === 125, `${name}: ${status} ${stderr}`);
      t.regex(stderr, /no-such-command/, name);
    }
  }
  t.true(command.options.length > 12);
});

test('besides these options the launcher knows only help and the socket', (t) => {
  t.regex(perfbroker('run', '--help').stdout, /^Usage: perfbroker run/);
  t.regex(perfbroker('run', '-h').stdout, /^Usage: perfbroker run/);
  // As a user, who can do nothing without a broker.
  const user = process.getuid?.() === 0 ? { uid: ALICE, gid: ALICE } : {};
  for (const args of [
    ['--socket', '/nowhere/1', 'run', '--require', 'true'],
    ['--socket=/nowhere/1', 'run', '--require', 'true'],
    ['run', '--socket', '/nowhere/1', '--require', 'true'],
    ['run', '--require', '--socket=/nowhere/1', 'true'],
  ]) {
    const { status, stderr } = spawnSync(launcher(), args, { encoding: 'utf8', cwd: '/', ...user });
    t.is(status, 125);
    t.regex(stderr, /\/nowhere\/1: No such file/);
  }
});

const MISUSES: readonly (readonly [args: readonly string[], message: RegExp])[] = [
  [[], /nothing to run: name a CMD/],
  [['--'], /nothing to run: name a CMD/],
  [['--bogus', 'true'], /unknown option '--bogus'/],
  [['-gx', 'true'], /unknown option '-x'/],
  [['-p', '1', 'true'], /unknown option '-p'/],
  [['--drop'], /--drop wants a value/],
  [['--verify=yes', 'true'], /--verify takes no value/],
  [['--drop', 'sys_admn', 'true'], /--drop: 'sys_admn' is not a capability/],
  [['--drop', 'net_raw,', 'true'], /--drop: '' is not a capability/],
  [['--keep', '', 'true'], /--keep: '' is not a capability/],
  // The collector's part, before CMD runs.
  [['-e', 'page-fualts', 'touch', 'ran'], /position 1.*page-faults/],
  [['-F', '10', '-c', '5', 'touch', 'ran'], /--freq and --count/],
  [['-m', '3', 'touch', 'ran'], /power of two/],
  [['-gm3', 'touch', 'ran'], /power of two/],
  [['--duration', 'soon', 'touch', 'ran'], /--duration/],
  [['-o', '-', 'touch', 'ran'], /standard output/],
  [['-o', '', 'touch', 'ran'], /--output: the file name is empty/],
];

test('an invalid command line gives exit code 2, and CMD does not run', (t) => {
  for (const [args, message] of MISUSES) {
    const { status, stdout, stderr } = perfbroker('run', ...args);
    t.is(status, 2, args.join(' '));
    t.is(stdout, '');
    t.regex(stderr, message);
    t.regex(stderr, /^perfbroker: .*\n(.*\n)*See perfbroker run --help\.\n$/);
  }
  t.false(existsSync(join(directory, 'ran')));
});

test('the script that the program executes does not implement run', (t) => {
  const main = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url));
  const { status, stderr } = spawnSync(process.execPath, [main, 'run', 'true'], { encoding: 'utf8' });
  t.is(status, 1);
  t.regex(stderr, /Start bin\/perfbroker run/);
});

test('the name of a program that was not observed cannot add a line to the summary', (t) => {
  const text = hiddenText([{ comm: 'x\nfeed 0 1 ok', pid: 7 }]);
  t.regex(text, /^ {2}not observed, [^\n]*: x\\u\{000a\}feed 0 1 ok \(7\)\n$/);
});
