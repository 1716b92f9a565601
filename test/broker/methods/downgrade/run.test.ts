/** A downgrade with the descendants of its target. */
import test, { type ExecutionContext } from 'ava';
import { parseOrder } from '#dist/broker/methods/downgrade/order.js';
import { DowngradeRun } from '#dist/broker/methods/downgrade/run.js';
import type { ProcessTarget } from '#dist/broker/processes/targets.js';
import { readProcess } from '#dist/broker/processes/proc.js';
import { brokerError } from '#dist/model/errors/error_table.js';
import { native, type Fd } from '#dist/native.js';
import { DOWNGRADED, FakeBroker, FakeClient, newWork, settledFds, peerOf, policyOf } from '../fakes.js';

const FD = 0 as Fd;

/** This process under the number of another one. */
function pinned(pid: number): ProcessTarget {
  const facts = readProcess(process.pid);
  if (facts === null) throw new Error('this process has ended');
  return { kind: 'process', fd: native.pidfdOpen(process.pid), tid: null, process: { ...facts, pid } };
}

interface Options {
  /** Pids that one walk after the other finds. */
  readonly walks?: readonly (readonly number[])[];
  readonly dryRun?: boolean;
  readonly authorized?: readonly 'downgrade'[];
}

function runOf(
  t: ExecutionContext,
  broker: FakeBroker,
  { walks, dryRun = false, authorized = [] }: Options = {},
): DowngradeRun {
  const peer = peerOf();
  const caller = { peer, busName: null, work: newWork(new FakeClient(peer)) };
  const vetted = {
    tracer: broker.tracer,
    order: parseOrder({ drop: ['CAP_PERFMON'], dryRun }, peer.subject),
    target: pinned(100),
    children: walks !== undefined,
  };
  let walk = 0;
  const find = (): Promise<ProcessTarget[]> => Promise.resolve((walks?.[walk++] ?? []).map(pinned));
  const run = new DowngradeRun(broker, caller, vetted, authorized, find);
  t.teardown(() => run[Symbol.dispose]());
  return run;
}

test.serial('the target alone is downgraded without a dry run before', async (t) => {
  const broker = new FakeBroker(t);
  const done = await runOf(t, broker).finish(FD);
  t.deepEqual(broker.tracer.requests, [{ pid: 100, dryRun: false }]);
  t.deepEqual(
    done.map(({ pid }) => pid),
    [100],
  );
  t.deepEqual(broker.said, ['downgrade allow', 'downgraded allow']);
});

test.serial('of several processes none is changed before all have passed a dry run', async (t) => {
  const broker = new FakeBroker(t);
  await runOf(t, broker, { walks: [[101, 102]] }).finish(FD);
  t.deepEqual(
    broker.tracer.requests.map(({ pid, dryRun }) => (dryRun ? `try ${pid}` : pid)),
    ['try 100', 'try 101', 'try 102', 100, 101, 102],
  );
});

test.serial('an obstacle at one of several processes leaves all of them as they are', async (t) => {
  const broker = new FakeBroker(t);
  broker.tracer.onDowngrade = (request) => (request === 1 ? { ...DOWNGRADED, status: 'deadline' } : DOWNGRADED);
  const error = await t.throwsAsync(runOf(t, broker, { walks: [[101]] }).finish(FD));
  t.like(error, { error: 'DowngradeRefused', code: 'deadline' });
  t.true(broker.tracer.requests.every(({ dryRun }) => dryRun));
  t.deepEqual(broker.said, ['downgraded error']);
});

test.serial('children that are forked during the run are downgraded after it', async (t) => {
  const broker = new FakeBroker(t);
  const done = await runOf(t, broker, { walks: [[101], [102], []] }).finish(FD);
  t.deepEqual(
    done.map(({ pid }) => pid),
    [100, 101, 102],
  );
});

test.serial('an error after some processes were downgraded carries these', async (t) => {
  const broker = new FakeBroker(t);
  // Request 0 is the target; the child that the second walk finds is refused.
  broker.tracer.onDowngrade = (request) => (request === 1 ? { ...DOWNGRADED, status: 'deadline' } : DOWNGRADED);
  const error = await t.throwsAsync(runOf(t, broker, { walks: [[], [101]] }).finish(FD));
  t.like(error, { error: 'DowngradeFailed', code: 'children', details: { processes: [{ pid: 100 }] } });
  t.deepEqual(broker.said, ['downgrade allow', 'downgraded allow', 'downgrade allow', 'downgraded error']);
});

test.serial('descendants that have ended are left out, and a target that has ended is an error', async (t) => {
  const broker = new FakeBroker(t);
  const gone = { ...DOWNGRADED, status: 'target-gone' } as const;
  broker.tracer.onDowngrade = (request) => (request === 1 || request === 3 ? gone : DOWNGRADED);
  const done = await runOf(t, broker, { walks: [[101]] }).finish(FD);
  t.deepEqual(
    done.map(({ pid }) => pid),
    [100],
  );
  broker.tracer.onDowngrade = () => gone;
  t.like(await t.throwsAsync(runOf(t, broker).finish(FD)), { error: 'TargetGone' });
});

test.serial('the policy decides again for each batch, because it can change between batches', async (t) => {
  const broker = new FakeBroker(t);
  broker.tracer.onDowngrade = () => {
    broker.policy = policyOf('deny');
    return DOWNGRADED;
  };
  const error = await t.throwsAsync(runOf(t, broker, { walks: [[], [101]] }).finish(FD));
  t.like(error, { error: 'DowngradeFailed', code: 'children' });
  t.deepEqual(
    broker.tracer.requests.map(({ pid }) => pid),
    [100],
  );
  t.deepEqual(broker.said, ['downgrade allow', 'downgraded allow', 'downgrade deny']);
});

test.serial('an authorization that was not given is an error, and one that was given is recorded', async (t) => {
  const broker = new FakeBroker(t, policyOf('ask'));
  t.like(await t.throwsAsync(runOf(t, broker).finish(FD)), { error: 'PolicyDenied', code: 'policy-changed' });
  t.deepEqual(broker.tracer.requests, []);
  await runOf(t, broker, { authorized: ['downgrade'] }).finish(FD);
  t.deepEqual(broker.records.find(({ verdict }) => verdict === 'allow')?.['authorized'], ['org.perfbroker.downgrade']);
});

test.serial('nothing is downgraded that cannot be recorded', async (t) => {
  const broker = new FakeBroker(t);
  broker.auditFault = brokerError('AuditFailed', 'write', 'the disk is full');
  t.like(await t.throwsAsync(runOf(t, broker).finish(FD)), { error: 'AuditFailed' });
  t.deepEqual(broker.tracer.requests, []);
});

test.serial('a dry run walks once, changes nothing and records no result', async (t) => {
  const broker = new FakeBroker(t);
  await runOf(t, broker, { walks: [[101], [102]], dryRun: true }).finish(FD);
  t.deepEqual(broker.tracer.requests, [
    { pid: 100, dryRun: true },
    { pid: 101, dryRun: true },
  ]);
  t.deepEqual(broker.said, ['downgrade allow']);
});

test.serial('a run holds its processes until it is closed', async (t) => {
  const broker = new FakeBroker(t);
  const before = await settledFds();
  const run = runOf(t, broker, { walks: [[101]] });
  await run.finish(FD);
  t.is(await settledFds(), before + 2);
  run[Symbol.dispose]();
  t.is(await settledFds(), before);
});
