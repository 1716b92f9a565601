import test from 'ava';
import type { MethodHandler } from '#dist/varlink/service.js';
import { runCommand } from './run_command.js';

test('a revoke reports the disabled events, and the access that the holder keeps', async (t) => {
  const asked: unknown[] = [];
  const revoke: MethodHandler<null> = (call, reply) => {
    asked.push(call.parameters);
    reply.reply({ fds: 2, disabled: 1, kept: 'the holder keeps its fds' });
  };
  const { code, stdout } = await runCommand(t, { Revoke: revoke }, 'revoke', 'aa00');
  t.is(stdout, 'aa00: 1 of 2 events disabled\nthe holder keeps its fds\n');
  t.is(code, 0);
  t.deepEqual(asked, [{ grant: 'aa00' }], 'no prompt: standard error is not a terminal');
});

test('a grant that does not exist is a failure with its code', async (t) => {
  const parameters = { code: 'unknown', message: 'there is no grant bb', errno: 0, cause: 'c', remedy: 'r' };
  const revoke: MethodHandler<null> = (_call, reply) => void reply.error('NoSuchGrant', parameters);
  const { code, stderr } = await runCommand(t, { Revoke: revoke }, 'revoke', 'bb');
  t.is(code, 1);
  t.regex(stderr, /there is no grant bb \(NoSuchGrant, unknown\)/);
});
