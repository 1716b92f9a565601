/** The steps from an approval to a grant: when any of them fails, no fd stays open and no quota stays reserved. */
import test, { type ExecutionContext } from 'ava';
import { grantEvents, type Granted } from '#dist/broker/methods/open/grant.js';
import { vetOpen, type VettedOpen } from '#dist/broker/methods/open/request.js';
import { releaseTargets } from '#dist/broker/processes/targets.js';
import { brokerError } from '#dist/model/errors/error_table.js';
import { FdBag } from '#dist/varlink/fd_bag.js';
import { CLOCK, FakeBroker, FakeClient, newWork, settledFds, policyOf } from '../fakes.js';

const TARGET = { kind: 'process', pid: process.pid, threads: 'leader' } as const;

interface Attempt {
  readonly broker: FakeBroker;
  readonly client: FakeClient;
  readonly vetted: VettedOpen;
  readonly granting: () => Promise<Granted>;
}

async function attemptOf(t: ExecutionContext, parameters: object = {}, limits = ''): Promise<Attempt> {
  const broker = new FakeBroker(t, policyOf('allow', limits));
  const client = new FakeClient();
  const caller = { peer: client.peer, busName: null, work: newWork(client) };
  const request = { targets: [TARGET], events: [CLOCK], ...parameters };
  const vetted = await vetOpen(broker, caller, request as never, { fds: new FdBag([]), more: true });
  const rule = broker.policy.rules[0];
  if (rule === undefined) throw new Error('a policy without a rule');
  const verdict = { kind: 'allow', rule: 'own', where: '', limits: rule.limits, classes: ['user'] } as const;
  const granting = (): Promise<Granted> => grantEvents(broker, client, vetted, { verdict, authorized: [] }, false);
  return { broker, client, vetted, granting };
}

async function holdsNothing(t: ExecutionContext, { broker, client, vetted }: Attempt, before: number): Promise<void> {
  releaseTargets(vetted.targets);
  await new Promise((resolve) => setImmediate(resolve));
  t.is(await settledFds(), before);
  t.deepEqual(broker.quota.usage(client.subject.uid), { grants: 0, fds: 0, ringBytes: 0 });
  t.is(broker.grants.size, 0);
}

test.serial('a request above the quota opens nothing, and the denial is recorded', async (t) => {
  const before = await settledFds();
  const attempt = await attemptOf(t, { targets: [TARGET, TARGET] }, 'limits = { fds = 1 }');
  t.like(await t.throwsAsync(attempt.granting()), { error: 'QuotaExceeded', code: 'fds' });
  t.deepEqual([attempt.broker.said, attempt.broker.opener.scopes.length], [['open deny'], 0]);
  await holdsNothing(t, attempt, before);
});

test.serial('events of a client that disconnects while they are opened are closed', async (t) => {
  const before = await settledFds();
  const attempt = await attemptOf(t, { targets: [TARGET, TARGET], ringBytes: 4096 });
  attempt.broker.opener.onOpen = (request) => {
    if (request === 1) attempt.client.disconnect();
    return {};
  };
  t.like(await t.throwsAsync(attempt.granting()), { error: 'TargetGone', code: 'client-gone' });
  t.deepEqual(attempt.broker.said, ['open error']);
  t.is(attempt.broker.opener.released, 1);
  await holdsNothing(t, attempt, before);
});

test.serial('events whose grant cannot be recorded are closed', async (t) => {
  const before = await settledFds();
  const attempt = await attemptOf(t);
  attempt.broker.auditFault = brokerError('AuditFailed', 'write', 'the disk is full');
  t.like(await t.throwsAsync(attempt.granting()), { error: 'AuditFailed' });
  await holdsNothing(t, attempt, before);
});

test.serial('a request whose threads have all ended is not a grant', async (t) => {
  const before = await settledFds();
  const attempt = await attemptOf(t);
  attempt.broker.opener.onOpen = () => ({ status: 'open-failed', errno: () => 3 });
  t.like(await t.throwsAsync(attempt.granting()), { error: 'TargetGone', code: 'exited' });
  await holdsNothing(t, attempt, before);
});

test.serial('a grant holds its fds and its quota until it ends', async (t) => {
  const before = await settledFds();
  const { broker, client, granting } = await attemptOf(t);
  const granted = await granting();
  t.deepEqual(broker.quota.usage(client.subject.uid), { grants: 1, fds: 1, ringBytes: 0 });
  const [grant] = broker.grants.list('all');
  if (grant === undefined) return t.fail();
  t.is(grant.id, granted.id);
  await broker.grants.end(grant, 'connection');
  t.deepEqual(broker.quota.usage(client.subject.uid), { grants: 0, fds: 0, ringBytes: 0 });
  t.is(await settledFds(), before);
});

test.serial(
  'the worker that mapped rings in advance is kept until the client says that it has mapped them',
  async (t) => {
    const { broker, client, granting } = await attemptOf(t, { ringBytes: 8192 });
    await granting();
    t.is(broker.quota.usage(client.subject.uid).ringBytes, 8192);
    t.deepEqual([broker.opener.done, broker.opener.released], [1, 0]);
    await broker.grants.list('all')[0]?.releaseRings();
    t.is(broker.opener.released, 1);
  },
);
