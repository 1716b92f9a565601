import { constants } from 'node:os';
import test from 'ava';
import { OPENER } from '#dist/common/native_messages.js';
import { errnoCode, KERNEL_ERRORS, type RefusalContext } from '#dist/model/errors/kernel_errors.js';
import { kernelRefused } from '#dist/model/errors/kernel_refused.js';

test('every errno of the table has the number that this system gives it', (t) => {
  const numbers = constants.errno as Readonly<Record<string, number>>;
  for (const code of Object.keys(KERNEL_ERRORS)) {
    const number = numbers[code];
    // libuv does not know all of them.
    if (number !== undefined) t.is(errnoCode(number), code as keyof typeof KERNEL_ERRORS);
    else t.true(code === 'other' || code === 'ETOOMANYREFS', code);
  }
  t.is(errnoCode(109), 'ETOOMANYREFS');
});

test('the explanation of ENOSPC names the limits of the opener', (t) => {
  const [rings, bytes] = [OPENER.maxRings.toLocaleString('en-US'), `${OPENER.maxPremapBytes / 2 ** 20} MiB`];
  t.true(KERNEL_ERRORS.ENOSPC.cause.endsWith(`(${rings} rings for one grant, ${bytes} for all users).`));
});

test('an errno without an explanation is still an error with its number', (t) => {
  t.like(kernelRefused(4095, { what: 'cpu-clock' }), {
    error: 'KernelRefused',
    code: 'other',
    errno: 4095,
    message: 'cpu-clock: perf_event_open refused with errno 4095',
  });
});

const explains = test.macro({
  title: (_, errno: number, context: RefusalContext, cause: RegExp) =>
    `errno ${errno} of ${JSON.stringify(context)} is explained by ${String(cause)}`,
  exec: (t, errno: number, context: RefusalContext, cause: RegExp) => {
    const error = kernelRefused(errno, context);
    t.is(error.errno, errno);
    t.regex(error.explanation, cause);
    t.truthy(error.remedy);
  },
});
const { EACCES, EPERM, ENOENT, ENODEV, EOPNOTSUPP, EMFILE, ENFILE, EAGAIN, E2BIG, EINVAL, ENOSPC } = constants.errno;
test(
  explains,
  EACCES,
  { what: 'cpu-clock', paranoid: 4, capability: 'CAP_PERFMON' },
  /Paranoid level 4 .*CAP_PERFMON.*security module/,
);
test(explains, EACCES, { what: 'cpu-clock' }, /paranoid level.*security module/);
test(explains, EPERM, { what: 'cpu-clock' }, /seccomp, lockdown.*capability/);
test(explains, EPERM, { what: 'sched:sched_switch', source: 'tracepoint' }, /raw tracepoint data/);
test(explains, EPERM, { what: 'ring of 4 MiB', call: 'mmap' }, /memlock/);
test(explains, EAGAIN, { what: 'ring of 4 MiB', call: 'mmap' }, /memlock/);
test(explains, ENOSPC, { what: 'ring of 64 pages', call: 'mmap' }, /no room for more rings/);
test(explains, ENOSPC, { what: 'mem:0x1000:w' }, /breakpoint slots.*room for more rings/);
test(explains, ENOENT, { what: 'cycles', source: 'hardware' }, /Missing PMU/);
test(explains, ENODEV, { what: 'cycles', source: 'hardware' }, /Missing PMU/);
test(explains, ENODEV, { what: 'cpu-clock', source: 'software', offlineCpu: 3 }, /Cpu 3 went offline/);
test(explains, ENOENT, { what: 'cgroup-switches', source: 'software' }, /kernel is older/);
test(explains, ENOENT, { what: 'a:b', source: 'tracepoint' }, /tracepoint no longer exists/);
test(explains, EOPNOTSUPP, { what: 'cycles' }, /Missing PMU feature/);
test(explains, EMFILE, { what: 'cpu-clock' }, /nofile: the opener/);
test(explains, ENFILE, { what: 'cpu-clock' }, /nofile: the system/);
test(explains, 109, { what: '253 fds', call: 'sendmsg' }, /nofile: more fds are in flight/);
test(explains, E2BIG, { what: 'cpu/config3=1/' }, /older than a field/);
test(explains, EINVAL, { what: 'cycles:ppp' }, /combination/);
