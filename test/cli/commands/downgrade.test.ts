import test from 'ava';
import { native } from '#dist/native.js';
import type { MethodHandler } from '#dist/varlink/service.js';
import { runCommand } from './run_command.js';

test('options become the parameters of the call, and the reply is printed as JSON', async (t) => {
  const asked: unknown[] = [];
  const downgrade: MethodHandler<null> = ({ parameters, fds }, reply) => {
    const { target, ...rest } = parameters;
    asked.push(rest);
    t.is(fds.count, 1);
    native.close(fds.take((target as { pidfd: number }).pidfd));
    reply.reply({ processes: [] });
  };
  const run = async (...args: readonly string[]): Promise<string> =>
    (await runCommand(t, { Downgrade: downgrade }, 'downgrade', String(process.pid), ...args)).stdout;
  t.is(await run(), '');
  t.is(await run('--drop', 'all', '--no-new-privs', '--children', '--dry-run', '--deadline', '7', '--json'), '[]\n');
  t.like(asked, [
    { noNewPrivs: false, children: false, dryRun: false, allowInteractive: false },
    { drop: ['all'], noNewPrivs: true, children: true, dryRun: true, deadlineMs: 7 },
  ] as never);
});

test('a mistake in the options sends nothing', async (t) => {
  for (const [args, message] of [
    [['1,2'], /'1,2' is not a single PID/],
    [['1', '--drop', 'CAP_NONSENSE'], /--drop: unknown capability CAP_NONSENSE/],
    [['1', '--deadline', '0'], /--deadline/],
  ] as const) {
    const { code, stderr } = await runCommand(t, { Downgrade: () => t.fail() }, 'downgrade', ...args);
    t.is(code, 2);
    t.regex(stderr, message);
  }
});
