import test from 'ava';
import { downgradeForOpen, downgradeProcess, type ProcessDowngrade } from '#dist/broker/methods/downgrade/process.js';
import { parseOrder } from '#dist/broker/methods/downgrade/order.js';
import type { DowngradeReply } from '#dist/broker/ipc/tracer.js';
import type { ProcessTarget } from '#dist/broker/processes/targets.js';
import type { Fd } from '#dist/native.js';
import { DOWNGRADED, FakeBroker, FakeClient, peerOf } from '../fakes.js';

const FD = 0 as Fd;
const LANE = 1000;
const PEER = peerOf();
const { subject: SUBJECT } = PEER;

const target = {
  kind: 'process',
  fd: FD,
  tid: null,
  process: { pid: 1234, startTime: 1n, uids: [1000, 1000, 1000], sameUserNamespace: true, executable: '/bin/x' },
} as unknown as ProcessTarget;

function downgradeOf({ tracer }: FakeBroker, dryRun = false): ProcessDowngrade {
  return { tracer, target, order: parseOrder({ drop: ['CAP_PERFMON'], dryRun }, SUBJECT) };
}

function answer(changes: Partial<DowngradeReply>): () => DowngradeReply {
  return () => ({ ...DOWNGRADED, ...changes });
}

test('a downgrade that is finished too late for its caller is recorded, and a dry run is not', async (t) => {
  const broker = new FakeBroker(t);
  // Answers after its caller was notified that it is late.
  broker.tracer.onDowngrade = () => {
    broker.tracer.onLate?.(DOWNGRADED);
    throw new Error('late');
  };
  for (const dryRun of [true, false])
    await t.throwsAsync(downgradeProcess(broker, SUBJECT, LANE, FD, downgradeOf(broker, dryRun)), { message: 'late' });
  t.deepEqual(broker.records, [
    { action: 'downgraded', verdict: 'allow', pid: 1234, threads: 0, late: true, by: process.pid },
  ]);
});

test('the downgrade of an Open is recorded before it is done and when it is done', async (t) => {
  const broker = new FakeBroker(t);
  broker.tracer.onDowngrade = () => {
    t.deepEqual(broker.said, ['downgrade allow']);
    return DOWNGRADED;
  };
  await downgradeForOpen(broker, new FakeClient(PEER), 1000, downgradeOf(broker));
  t.like(broker.records, [
    { action: 'downgrade', drop: ['CAP_PERFMON'], targets: [{ pid: 1234 }] },
    { action: 'downgraded', pid: 1234, threads: 0, stoppedMicroseconds: 1 },
  ]);
});

test("a target that is not the caller's is refused with the obstacle", async (t) => {
  const broker = new FakeBroker(t);
  const UID = 1 << 1;
  broker.tracer.onDowngrade = answer({ status: 'not-same-user', detail: UID });
  const refused = downgradeProcess(broker, SUBJECT, LANE, FD, downgradeOf(broker));
  const error = await t.throwsAsync(refused, { message: /\(uid\)$/ });
  t.like(error, { error: 'DowngradeRefused', code: 'not-same-user' });
});

test('threads that kept rights are named', async (t) => {
  const broker = new FakeBroker(t);
  const none = { inheritable: 0n, permitted: 0n, effective: 0n, bounding: 0n, ambient: 0n };
  const all = { ...none, permitted: 1n << 38n };
  const threads = [
    { tid: 1234, error: 0, noNewPrivs: false, had: all, has: none },
    { tid: 1235, error: 1, noNewPrivs: false, had: all, has: all },
  ];
  broker.tracer.onDowngrade = answer({ status: 'failed', threads });
  const error = await t.throwsAsync(downgradeProcess(broker, SUBJECT, LANE, FD, downgradeOf(broker)), {
    message: /: 1235$/,
  });
  t.like(error, { error: 'DowngradeFailed', code: 'partial', errno: 1 });
});

test('the tracer serves the downgrade of an Open in the lane of the request', async (t) => {
  const broker = new FakeBroker(t);
  await downgradeForOpen(broker, new FakeClient(PEER), 77, downgradeOf(broker));
  t.deepEqual(broker.tracer.users, [77]);
});

test('the errno of a system call of the tracer is named', async (t) => {
  const broker = new FakeBroker(t);
  broker.tracer.onDowngrade = answer({ status: 'system-error', detail: 3 });
  const error = await t.throwsAsync(downgradeProcess(broker, SUBJECT, LANE, FD, downgradeOf(broker)), {
    message: /ESRCH$/,
  });
  t.like(error, { code: 'system-error', errno: 3 });
});

test('every other answer of the tracer is an error of its own', async (t) => {
  const expected = {
    deadline: 'DowngradeRefused deadline',
    'too-many-threads': 'DowngradeRefused too-many-threads',
    'system-error': 'DowngradeRefused system-error',
    'target-gone': 'TargetGone exited',
    'target-changed': 'TargetChanged start-time',
    'bad-target': 'InvalidTarget not-a-pidfd',
    'bad-client': 'InvalidTarget bound-socket',
  } as const;
  for (const [status, said] of Object.entries(expected)) {
    const broker = new FakeBroker(t);
    broker.tracer.onDowngrade = answer({ status: status as keyof typeof expected });
    const error = await t.throwsAsync(downgradeProcess(broker, SUBJECT, LANE, FD, downgradeOf(broker)));
    const { error: name, code } = error as unknown as { readonly error: string; readonly code: string };
    t.is(`${name} ${code}`, said);
  }
});
