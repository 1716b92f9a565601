import test, { type ExecutionContext } from 'ava';
import { approve, approveAgain } from '#dist/broker/methods/open/decide.js';
import { vetOpen, type VettedOpen } from '#dist/broker/methods/open/request.js';
import type { Caller } from '#dist/broker/processes/caller.js';
import { releaseTargets } from '#dist/broker/processes/targets.js';
import { FdBag } from '#dist/varlink/fd_bag.js';
import { CLOCK, FakeBroker, FakeClient, newWork, policyOf } from '../fakes.js';

interface Case {
  readonly broker: FakeBroker;
  readonly client: FakeClient;
  readonly caller: Caller;
  readonly vetted: VettedOpen;
}

/** An Open with a downgrade, of this process. */
async function caseOf(t: ExecutionContext, verdict: 'allow' | 'ask'): Promise<Case> {
  const broker = new FakeBroker(t, policyOf(verdict));
  const client = new FakeClient();
  const caller = { peer: client.peer, busName: null, work: newWork(client) };
  const targets = [{ kind: 'process', pid: process.pid }];
  const parameters = { targets, events: [CLOCK], downgrade: { drop: ['CAP_PERFMON'] } };
  const vetted = await vetOpen(broker, caller, parameters as never, { fds: new FdBag([]), more: true });
  t.teardown(() => releaseTargets(vetted.targets));
  return { broker, client, caller, vetted };
}

test('an allowed request needs no authorization', async (t) => {
  const { broker, client, caller, vetted } = await caseOf(t, 'allow');
  t.like(await approve(broker, client, caller, vetted, false), { verdict: { rule: 'own' }, authorized: [] });
  t.deepEqual(broker.authorizer.questions, []);
});

test('events and downgrade are authorized together, the stronger action first', async (t) => {
  const { broker, client, caller, vetted } = await caseOf(t, 'ask');
  const { authorized } = await approve(broker, client, caller, vetted, true);
  t.deepEqual(authorized, ['downgrade', 'count-own']);
  t.deepEqual(
    broker.authorizer.questions.map(({ action }) => action),
    ['downgrade', 'count-own'],
  );
  t.regex(broker.authorizer.questions[0]?.details['events'] ?? '', /^take CAP_PERFMON; /);
});

test('an authorization of some of the needed actions is a recorded denial', async (t) => {
  const { broker, caller, vetted } = await caseOf(t, 'ask');
  const message = 'rule "own" now also requires authorization for org.perfbroker.downgrade, which was not requested';
  t.throws(() => approveAgain(broker, caller, vetted, ['count-own']), { message });
  t.like(broker.records, [{ action: 'open', verdict: 'deny', rule: 'own', reasons: [message] }]);
});
