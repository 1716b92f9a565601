import test, { type ExecutionContext } from 'ava';
import {
  approveDowngrade,
  approveDowngradeAgain,
  vetDowngrade,
  type VettedDowngrade,
} from '#dist/broker/methods/downgrade/decide.js';
import type { Caller } from '#dist/broker/processes/caller.js';
import { releaseTargets } from '#dist/broker/processes/targets.js';
import { FdBag } from '#dist/varlink/fd_bag.js';
import { FakeBroker, FakeClient, newWork, policyOf } from '../fakes.js';

interface Case {
  readonly broker: FakeBroker;
  readonly client: FakeClient;
  readonly caller: Caller;
  readonly vetted: VettedDowngrade;
}

/** A downgrade of this process and its descendants. */
async function caseOf(t: ExecutionContext, verdict: 'allow' | 'ask' | 'deny'): Promise<Case> {
  const broker = new FakeBroker(t, policyOf(verdict));
  const client = new FakeClient();
  const caller = { peer: client.peer, busName: null, work: newWork(client) };
  const target = { kind: 'process', pid: process.pid };
  const parameters = { target, drop: ['CAP_PERFMON'], children: true };
  const vetted = await vetDowngrade(broker, caller, parameters as never, new FdBag([]));
  t.teardown(() => releaseTargets([vetted.target]));
  return { broker, client, caller, vetted };
}

test('the dialog names the descendants, the target and the order', async (t) => {
  const { broker, client, caller, vetted } = await caseOf(t, 'ask');
  t.deepEqual(await approveDowngrade(broker, client, caller, vetted, true), ['downgrade']);
  t.like(broker.authorizer.questions, [{ action: 'downgrade', details: { events: 'take CAP_PERFMON' } }]);
  t.regex(broker.authorizer.questions[0]?.details['target'] ?? '', /^all descendants and pid \d+ /);
});

test('an allowed downgrade needs no authorization, and a denial is recorded', async (t) => {
  const allowed = await caseOf(t, 'allow');
  t.deepEqual(await approveDowngrade(allowed.broker, allowed.client, allowed.caller, allowed.vetted, false), []);
  t.deepEqual(allowed.broker.records, []);
  const denied = await caseOf(t, 'deny');
  const attempt = approveDowngrade(denied.broker, denied.client, denied.caller, denied.vetted, false);
  t.like(await t.throwsAsync(attempt), { error: 'PolicyDenied', code: 'denied' });
  t.like(denied.broker.records, [{ action: 'downgrade', verdict: 'deny', rule: 'own', drop: ['CAP_PERFMON'] }]);
});

test('a rule that asks permits only with the authorization', async (t) => {
  const { broker, caller, vetted } = await caseOf(t, 'ask');
  const again = (...authorized: 'downgrade'[]): string =>
    approveDowngradeAgain(broker, caller, [vetted.target], vetted.order, authorized).rule;
  t.is(again('downgrade'), 'own');
  t.like(
    t.throws(() => again()),
    { error: 'PolicyDenied', code: 'policy-changed' },
  );
  t.deepEqual(broker.said, ['downgrade deny']);
});
