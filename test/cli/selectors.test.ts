import test from 'ava';
import { UsageError } from '#dist/cli/failure.js';
import { selectionOf } from '#dist/cli/selectors.js';
import { onlineCpus } from '#dist/common/cpus.js';

const [cpu = 0] = onlineCpus();

test('without a selector nothing but the command is observed, with its children', (t) => {
  t.deepEqual(selectionOf({}), { targets: [], inherit: true });
});

test('processes are followed into their children, threads, cgroups and cpus are not', (t) => {
  t.deepEqual(selectionOf({ pid: '7,8,7' }), { targets: [{ pid: 7 }, { pid: 8 }], inherit: true });
  t.deepEqual(selectionOf({ allCpus: true }), { targets: [{ system: true }], inherit: false });
  t.like(selectionOf({ cgroup: '/sys/fs/cgroup/a' }), { targets: [{ cgroup: '/sys/fs/cgroup/a' }], inherit: false });
  t.deepEqual(selectionOf({ tid: `${process.pid}` }), {
    targets: [{ pid: process.pid, tid: process.pid }],
    inherit: false,
  });
});

test('-C alone means everything on these cpus, and with a process only the process there', (t) => {
  t.deepEqual(selectionOf({ cpu: `${cpu}` }), { targets: [{ system: true }], inherit: false, cpus: [cpu] });
  t.deepEqual(selectionOf({ cpu: `${cpu}`, pid: '7' }), { targets: [{ pid: 7 }], inherit: true, cpus: [cpu] });
});

test('a thread that is gone is left to the broker to refuse', (t) => {
  t.deepEqual(selectionOf({ tid: '4194304' }).targets, [{ pid: 4194304, tid: 4194304 }]);
});

test('selectors exclude each other, and a cpu has to be a number that a kernel can have', (t) => {
  for (const options of [{ pid: '1', tid: '1' }, { pid: '1', allCpus: true as const }, { cpu: '8192' }, { cpu: 'x' }])
    t.throws(() => selectionOf(options), { instanceOf: UsageError });
});
