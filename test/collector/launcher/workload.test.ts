import test from 'ava';
import { Workload } from '#dist/collector/launcher/workload.js';

/** A workload and what its parent is asked to do. */
function workload(): { readonly command: Workload; readonly sent: readonly string[] } {
  const sent: string[] = [];
  return { command: new Workload(1234, (type) => sent.push(type)), sent };
}

test('a command is released once', (t) => {
  const { command, sent } = workload();
  command.release();
  command.release();
  t.deepEqual(sent, ['release']);
});

test('a command that leaves its scope before it is released never runs', (t) => {
  const { command, sent } = workload();
  command[Symbol.dispose]();
  t.deepEqual(sent, ['terminate']);
});

test('a command that was released goes on when it leaves its scope', (t) => {
  const { command, sent } = workload();
  command.release();
  command[Symbol.dispose]();
  t.deepEqual(sent, ['release']);
});

test('the errno of the exec and the exit code are what the parent reports', async (t) => {
  const { command } = workload();
  command.onExecuted(2);
  command.onExited(127);
  t.deepEqual([await command.executed, await command.exited], [2, 127]);
});

test('an exit without a report of the exec settles both', async (t) => {
  const { command } = workload();
  command.onExited(162);
  t.deepEqual([await command.executed, await command.exited], [0, 162]);
});
