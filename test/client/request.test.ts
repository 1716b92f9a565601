import { openSync } from 'node:fs';
import test from 'ava';
import { encodeDowngrade, encodeRequest, type OpenRequest } from '#dist/client/request.js';
import { eventFromJson } from '#dist/interfaces/event_json.js';
import { BrokerError } from '#dist/model/errors/errors.js';
import { native } from '#dist/native.js';
import { fdsBackTo, openFds, someFd } from '../varlink/helpers.js';

// The fds of this process are counted: one test at a time.

const spec = eventFromJson({ source: { kind: 'software', name: 'task-clock' }, exclude: ['kernel'] });

const badRequest = test.macro({
  exec: async (t, targets: OpenRequest['targets'], error: string, code: string) => {
    const before = openFds();
    const thrown = t.throws(() => encodeRequest({ targets, events: [spec] }), { instanceOf: BrokerError });
    t.deepEqual([thrown?.error, thrown?.code], [error, code]);
    t.deepEqual(await fdsBackTo(before), before);
  },
  title: (name) => `${name} is refused before anything is sent, and what was opened is closed`,
});

test.serial(
  'a process that does not exist',
  badRequest,
  [{ pid: 1 }, { pid: 0x3fffff }],
  'TargetGone',
  'no-such-process',
);
test.serial('a pid that is not valid', badRequest, [{ pid: 1 }, { pid: -1 }], 'InvalidTarget', 'bad-value');
test.serial(
  'a cgroup that does not exist',
  badRequest,
  [{ pid: 1 }, { cgroup: '/no/such' }],
  'InvalidTarget',
  'not-a-cgroup',
);
test.serial('a cgroup that is a file', badRequest, [{ cgroup: '/proc/version' }], 'InvalidTarget', 'not-a-cgroup');
test.serial(
  'a request with more processes than fds fit',
  badRequest,
  Array.from({ length: 254 }, () => ({ pid: 1 })),
  'InvalidTarget',
  'too-many-targets',
);

test.serial('targets refer to their fds by index, and fds of the caller are duplicated', async (t) => {
  const before = openFds();
  const pidfd = someFd();
  const directory = openSync('/', 'r');
  const { parameters, fds } = encodeRequest({
    targets: [
      { pid: process.pid },
      { system: true },
      { pidfd, tid: 7 },
      { cgroup: directory },
      { pidfd, threads: 'leader' },
    ],
    events: [spec],
    ringBytes: 4096,
  });
  t.deepEqual(parameters.targets, [
    { kind: 'process', pidfd: 0 },
    { kind: 'system' },
    { kind: 'process', pidfd: 1, tid: 7 },
    { kind: 'cgroup', directory: 2 },
    { kind: 'process', pidfd: 3, threads: 'leader' },
  ]);
  t.is(parameters.ringBytes, 4096);
  t.false(fds.includes(pidfd) || fds.includes(directory));
  t.is(new Set(fds).size, 4);
  for (const fd of [...fds, pidfd, directory]) native.close(fd);
  t.deepEqual(await fdsBackTo(before), before);
});

test.serial('an attr is sent as base64, from where it lies in its buffer', (t) => {
  const attr = Uint8Array.of(9, 1, 2, 3).subarray(1);
  const { parameters } = encodeRequest({ targets: [], events: [{ attr }, { attr, leader: 0 }] });
  t.deepEqual(parameters.events, [{ attr: 'AQID' }, { attr: 'AQID', leader: 0 }]);
});

test.serial('a downgrade has one target and its fd', (t) => {
  const { parameters, fds } = encodeDowngrade({ target: { pid: process.pid }, drop: ['CAP_PERFMON'], dryRun: true });
  t.deepEqual(parameters, { target: { kind: 'process', pidfd: 0 }, drop: ['CAP_PERFMON'], dryRun: true });
  t.is(fds.length, 1);
  for (const fd of fds) native.close(fd);
});
