import test from 'ava';
import { describe, explain } from '#dist/broker/methods/describe.js';
import { callOf, CLOCK, FakeBroker, FakeClient, FakeReply, policyOf, settledFds } from './fakes.js';

const PARAMETERS = { targets: [{ kind: 'process', pid: process.pid, threads: 'leader' }], events: [CLOCK] };

test.serial('Describe names the cpus that are online now, and the rules for the caller', (t) => {
  const broker = new FakeBroker(t);
  const client = new FakeClient();
  const reply = new FakeReply();
  describe(broker, client, reply);
  broker.onlineCpus = [0];
  describe(broker, client, reply);
  t.like(reply.replies, [{ onlineCpus: [0, 1] }, { onlineCpus: [0] }]);
  t.like(reply.replies[0], { rules: ['own'], caller: { pid: process.pid }, capability: 'CAP_PERFMON' });
});

test.serial('Explain answers each verdict, records nothing, opens nothing and asks for no authorization', async (t) => {
  const before = await settledFds();
  for (const verdict of ['allow', 'ask', 'deny'] as const) {
    const broker = new FakeBroker(t, policyOf(verdict));
    const reply = new FakeReply();
    await explain(broker, callOf(new FakeClient(), PARAMETERS), reply);
    t.like(reply.replies, [{ decision: { verdict } }]);
    t.deepEqual([broker.records, broker.opener.scopes, broker.authorizer.questions], [[], [], []]);
  }
  t.is(await settledFds(), before);
});
