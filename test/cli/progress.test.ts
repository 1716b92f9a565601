/** The line of progress, in a process of its own that takes standard error for a terminal, or does not. */
import { spawnSync } from 'node:child_process';
import test from 'ava';

const MODULE = new URL('../../../dist/cli/progress.js', import.meta.url).href;
/** Ends when the line has been printed, or at once. */
const PROGRAM = `
  import tty from 'node:tty';
  import { syncBuiltinESMExports } from 'node:module';
  const terminal = process.argv[1] === 'terminal';
  tty.isatty = () => terminal;
  syncBuiltinESMExports();
  const { Progress, mayShowProgress } = await import(${JSON.stringify(MODULE)});
  const progress = new Progress(false);
  if (mayShowProgress(JSON.parse(process.argv[2]), process.argv[3] === 'command')) progress.begin(() => {
    setImmediate(() => (progress.end(), progress.end()));
    return { samples: 1234n, lost: 5n, bytes: 2048n };
  });
`;

const run = (kind: string, options: object = {}, command = 'none'): string =>
  spawnSync(process.execPath, ['--input-type=module', '-e', PROGRAM, kind, JSON.stringify(options), command], {
    encoding: 'utf8',
  }).stderr;

test('a terminal shows samples, losses and bytes on one line, which is cleared once at the end', (t) => {
  const [before, line = '', after] = run('terminal').split('\r\u001b[K');
  t.regex(line, /^\d+ s {2}1,234 samples {2}5 lost {2}2\.0 KiB {2}\(Ctrl-C ends\)$/);
  t.deepEqual([before, after], ['', '']);
});

test('a file or pipe gets no progress, and nothing keeps the process alive', (t) => {
  t.is(run('pipe'), '');
});

test('a command that has the terminal keeps it to itself, unless progress is asked for', (t) => {
  t.is(run('terminal', {}, 'command'), '');
  t.regex(run('terminal', { progress: true }, 'command'), /1,234 samples/);
  t.regex(run('pipe', { progress: true }, 'command'), /1,234 samples/);
  t.is(run('terminal', { quiet: true }), '');
  t.is(run('terminal', { quiet: true, progress: true }), '');
});
