import test from 'ava';
import type { MethodHandler } from '#dist/varlink/service.js';
import { runCommand } from './run_command.js';

const DESCRIPTION = {
  version: '9.9',
  kernel: '6.12.0',
  paranoid: 3,
  capability: 'CAP_PERFMON',
  ceiling: [],
  pmus: [{ name: 'software', type: 1 }],
  tracepoints: 7,
  onlineCpus: [0, 1],
  maxSampleRate: 100000,
  policy: ['/p'],
  caller: { pid: 5, uid: 6, gid: 7, groups: [], administrator: true },
  rules: ['first', 'second'],
};

test('the machine, the policy and the caller are described as a table, or as JSON', async (t) => {
  const handlers: Record<string, MethodHandler<null>> = { Describe: (_call, reply) => void reply.reply(DESCRIPTION) };
  const { code, stdout } = await runCommand(t, handlers, 'describe');
  t.is(code, 0);
  t.regex(stdout, /^broker: +perfbroker 9\.9$/m);
  t.regex(stdout, /^kernel: +6\.12\.0, perf_event_paranoid 3, requires CAP_PERFMON$/m);
  t.regex(stdout, /^ceiling: +none$/m);
  t.regex(stdout, /^you are: +pid 5, uid 6, gid 7, an administrator$/m);
  t.regex(stdout, /^rules for you: +first\n +second$/m);
  t.deepEqual(JSON.parse((await runCommand(t, handlers, 'describe', '--json')).stdout), DESCRIPTION);
});
