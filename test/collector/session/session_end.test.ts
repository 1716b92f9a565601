import test from 'ava';
import type { ObservedCommand } from '#dist/collector/observed_command.js';
import { confirmEnd, endOf, observesCommand, type Session } from '#dist/collector/session/session_end.js';

const never = (): Promise<never> => new Promise(() => undefined);
const quiet = { ended: never() };

function session(parts: Partial<Session>): Session {
  return { targets: [{ system: true }], interrupt: new AbortController().signal, ...parts };
}

function command(exitCode: number, errno: number): ObservedCommand {
  return {
    pid: 10,
    exited: Promise.resolve(exitCode),
    executed: Promise.resolve(errno),
    release: () => undefined,
  };
}

test('a session ends with its command, its duration, an interrupt or its grant: the first of these', async (t) => {
  t.is(await endOf(session({ workload: command(7, 0) }), quiet, never), 'command');
  t.is(await endOf(session({ durationMs: 1 }), quiet, never), 'duration');
  t.is(await endOf(session({ interrupt: AbortSignal.abort() }), quiet, never), 'interrupt');
  const interrupt = new AbortController();
  setImmediate(() => interrupt.abort());
  t.is(await endOf(session({ interrupt: interrupt.signal }), quiet, never), 'interrupt');
  t.is(await endOf(session({}), { ended: Promise.resolve('lease') }, never), 'lease');
  t.is(await endOf<'write-error'>(session({}), quiet, () => Promise.resolve('write-error')), 'write-error');
});

test('a session whose command could not be executed had no command', async (t) => {
  t.is(await endOf(session({ workload: command(127, 2) }), quiet, never), 'not-executed');
});

test('a caller that waits for an end of its own stops waiting when the session is over', async (t) => {
  let stopped = false;
  await endOf(session({ durationMs: 1 }), quiet, (over) => {
    over.addEventListener('abort', () => (stopped = true));
    return never();
  });
  t.true(stopped);
});

test("a failure of the caller's own end is thrown", async (t) => {
  await t.throwsAsync(
    endOf(session({}), quiet, () => Promise.reject(new Error('broken'))),
    { message: 'broken' },
  );
});

test('the broker is asked once more where a revoke may have gone unnoticed, and nowhere else', async (t) => {
  let asked = 0;
  const watch = {
    wasRevoked: () => {
      asked++;
      return Promise.resolve(true);
    },
  };
  t.is(await confirmEnd('duration', watch), 'revoked');
  t.is(await confirmEnd('interrupt', watch), 'revoked');
  t.is(asked, 2);
  for (const end of ['command', 'targets', 'lease', 'write-error'] as const) t.is(await confirmEnd(end, watch), end);
  t.is(asked, 2);
  t.is(await confirmEnd('duration', { wasRevoked: () => Promise.resolve(false) }), 'duration');
});

test('a command is observed when it is a target, and not when it only sets the duration', (t) => {
  const workload = command(0, 0);
  t.true(observesCommand(session({ workload, targets: [{ pid: 10 }] })));
  t.false(observesCommand(session({ workload, targets: [{ pid: 11 }] })));
  t.false(observesCommand(session({ workload })));
  t.false(observesCommand(session({ targets: [{ pid: 10 }] })));
});
