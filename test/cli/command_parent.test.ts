import { isatty } from 'node:tty';
import test from 'ava';
import { commandParent, requireUnchanged, startWorkload, stderrIsTerminal } from '#dist/cli/command_parent.js';
import { ExitCode, Failure } from '#dist/cli/failure.js';

// A parent for real is in test/run/observed_command.test.ts.
test('a script that was started without the program runs no command', async (t) => {
  t.is(commandParent(), undefined);
  const failure = await t.throwsAsync(startWorkload(['true'], false), { instanceOf: Failure });
  t.is(failure?.exitCode, ExitCode.cannotStart);
  t.notThrows(() => requireUnchanged([]));
});

test('without a parent the terminal is that of this process', (t) => {
  t.is(stderrIsTerminal(), isatty(2));
});
