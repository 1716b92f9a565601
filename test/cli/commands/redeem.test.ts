import { spawn } from 'node:child_process';
import { once } from 'node:events';
import test from 'ava';
import { openTaskClock } from '../../client/perf_attr.js';
import { FakeBroker } from '../../client/fake_broker.js';
import { listenTo } from '../../tools/said.js';
import { MAIN, runCommand } from './run_command.js';

const slot = (fd: number, event: number): object => ({ fd, event, target: 0, tid: 1, cpu: -1 });
const NO_TICKET = { code: 'ticket', message: 'not a ticket', errno: 0, cause: '', remedy: '' };

test('a ticket of Open prints one count for each event, and ends the grant', async (t) => {
  const calls: string[] = [];
  const { code, stdout } = await runCommand(
    t,
    {
      Redeem: ({ parameters }, reply) => {
        calls.push(`redeem ${String(parameters['ticket'])}`);
        const slots = [slot(0, 0), slot(1, 1), slot(2, 1)];
        reply.reply({ grant: 'g', slots, unstable: false, leaseSeconds: 0 }, slots.map(openTaskClock));
      },
    },
    'redeem',
    'TICKET',
    '--duration',
    '0.01',
  );
  t.is(code, 0);
  t.regex(stdout, /^event +count\nevent 0 +\d+\nevent 1 +\d+\n$/);
  t.deepEqual(calls, ['redeem TICKET']);
});

test('a ticket of Downgrade prints the removed capabilities', async (t) => {
  const sets = (permitted: string): object => {
    const none = '0000000000000000';
    return { inheritable: none, permitted, effective: none, bounding: none, ambient: none };
  };
  const thread = { tid: 42, name: 'app', errno: 0, noNewPrivs: false };
  const threads = [{ ...thread, had: sets('0000004000000000'), has: sets('0000000000000000') }];
  const { code, stdout, stderr } = await runCommand(
    t,
    {
      Redeem: (_call, reply) => void reply.error('NoSuchGrant', NO_TICKET),
      RedeemDowngrade: (_call, reply) =>
        void reply.reply({ processes: [{ pid: 42, executable: '/x', stoppedMicroseconds: 1000, threads }] }),
    },
    'redeem',
    'TICKET',
  );
  t.is(code, 0, stderr);
  t.regex(stdout, /^42 \/x: 1 thread, stopped for 1\.00 ms\n.*lost +CAP_PERFMON/);
});

test('a text that is not a ticket of either method is a failure', async (t) => {
  const { code, stderr } = await runCommand(
    t,
    {
      Redeem: (_call, reply) => void reply.error('NoSuchGrant', NO_TICKET),
      RedeemDowngrade: (_call, reply) => void reply.error('NoSuchGrant', NO_TICKET),
    },
    'redeem',
    'TICKET',
  );
  t.is(code, 1);
  t.regex(stderr, /not a ticket/);
});

test('a reply with more fds than the process may have is reported with the limit of open files', async (t) => {
  const slots = Array.from({ length: 200 }, (_, fd) => slot(fd, 0));
  const broker = new FakeBroker({
    Redeem: (_call, reply) =>
      void reply.reply({ grant: 'g', slots, unstable: false, leaseSeconds: 0 }, slots.map(openTaskClock)),
  });
  t.teardown(() => broker.close());
  const args = ['-c', 'ulimit -n 100; exec "$@"', '-', process.execPath, MAIN, 'redeem', 'T', '--socket', broker.path];
  const child = spawn('bash', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const stderr = listenTo(child, 'stderr');
  const [code] = (await once(child, 'close')) as [number];
  t.is(code, 1);
  t.regex(stderr.text(), /\(Unavailable, fd-limit\)\n {2}cause: .*\n {2}what to do: Raise the limit \(`ulimit -n`\)/);
});
