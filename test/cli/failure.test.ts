import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { describeFailure, Failure, UsageError } from '#dist/cli/failure.js';
import { brokerError } from '#dist/model/errors/error_table.js';
import { OutputFile } from '#dist/formats/output_file.js';

/** Text that a user reads when this fails. */
function said(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return describeFailure(error).text;
  }
  return '';
}

test('an error of a file is printed with a remedy and without a stack trace', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-failure-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const link = join(directory, 'link');
  symlinkSync('nowhere', link);
  for (const action of [
    () => OutputFile.create(link),
    () => OutputFile.create('/dev/null'),
    () => OutputFile.create(join(directory, 'no', 'file')),
    () => readFileSync(join(directory, 'none')),
    () => readFileSync(directory),
  ])
    t.regex(said(action), /^perfbroker: [^\n]+\n {2}what to do: [A-Z][^\n]+\.\n$/);
});

test('a second failure while files and grants are closed does not hide the first', (t) => {
  const text = said(() => {
    using grant = {
      [Symbol.dispose]: () => {
        throw new Error('closing failed');
      },
    };
    t.truthy(grant);
    throw new UsageError('the option is wrong');
  });
  t.is(text, 'perfbroker: the option is wrong\n');
});

test('a bug of the program is printed with its stack trace', (t) => {
  t.regex(
    said(() => (undefined as unknown as { x: { y: number } }).x.y),
    /TypeError.*\n.*\bat /,
  );
});

test('an error about an option has advice for its user, not for a program', (t) => {
  const text = said(() => {
    throw brokerError('InvalidTarget', 'not-a-cgroup', 'no such directory');
  });
  t.regex(text, /cause: No cgroup .*\n {2}what to do: `cat \/proc\/PID\/cgroup` .*\n$/);
  t.notRegex(text, /O_DIRECTORY/);
});

test('a name in an error cannot add a line', (t) => {
  const name = 'x\nfeed 0 1 ok\t\u001b';
  const text = said(() => {
    throw new Failure(name, name, name);
  });
  const escaped = 'x\\u{000a}feed 0 1 ok\\u{0009}\\u{001b}';
  t.is(text, `perfbroker: ${escaped}\n  cause: ${escaped}\n  what to do: ${escaped}\n`);
  const trace = said(() => {
    throw new Error(name);
  });
  t.regex(trace, /^perfbroker: Error: x\n {2}feed 0 1 ok/, 'a bug of the program: its other lines are indented');
});
