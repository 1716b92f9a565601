import test from 'ava';
import { authorize, type AuthorizationRequest } from '#dist/broker/methods/request/authorization.js';
import type { Answer } from '#dist/broker/ipc/authorizer.js';
import { FakeBroker, FakeClient, newWork, peerOf } from '../fakes.js';

function requestOf(client: FakeClient, changes: Partial<AuthorizationRequest> = {}): AuthorizationRequest {
  return {
    caller: { peer: client.peer, busName: ':1.5', work: newWork(client) },
    actions: ['kernel'],
    rule: 'developers',
    target: 'pid 1 <b>x</b>',
    what: 'cycles',
    facts: { events: ['cycles'] },
    interactive: false,
    reasons: [{ code: 'class', rule: 'own', text: 'rule "own" leaves out class kernel' }],
    ...changes,
  };
}

test('every action is asked for, recorded, and has to be authorized', async (t) => {
  const broker = new FakeBroker(t);
  const client = new FakeClient();
  await authorize(broker, client, requestOf(client, { actions: ['kernel', 'other-user'] }));
  t.like(broker.authorizer.questions, [{ action: 'kernel' }, { action: 'other-user' }]);
  t.like(broker.records, [
    { action: 'ask', verdict: 'allow', asked: 'org.perfbroker.kernel', rule: 'developers', events: ['cycles'] },
    { action: 'ask', verdict: 'allow', asked: 'org.perfbroker.other-user', answer: 'authorized', busName: ':1.5' },
  ]);
});

test('after the first refusal no further question is asked', async (t) => {
  const broker = new FakeBroker(t);
  const client = new FakeClient();
  broker.authorizer.onAsk = () => ({ kind: 'refused', detail: '' });
  const asked = authorize(broker, client, requestOf(client, { actions: ['kernel', 'other-user'] }));
  await t.throwsAsync(asked);
  t.deepEqual([broker.authorizer.questions.length, broker.said], [1, ['ask deny']]);
});

test('a dialog shows no markup of the caller', async (t) => {
  const broker = new FakeBroker(t);
  const client = new FakeClient(peerOf({ executable: '[<i>]' }));
  await authorize(broker, client, requestOf(client));
  const { target, caller } = broker.authorizer.questions[0]?.details ?? {};
  t.is(target, 'pid 1 ‹b›x‹/b›');
  t.regex(caller ?? '', /^\[‹i›\] \(process \d+, uid \d+\)$/);
});

test('each answer other than a yes is an error of its own, with the rule and the reasons', async (t) => {
  const codes: readonly (readonly [kind: Answer['kind'], code: string, text: RegExp])[] = [
    ['refused', 'not-authorized', /polkit refused \(why\)$/],
    ['challenge', 'authorization-needed', /polkit would have to show a dialog/],
    ['dismissed', 'dismissed', /the dialog was dismissed/],
    ['unavailable', 'no-authorizer', /polkit is not available/],
    ['timed-out', 'authorization-timeout', /no answer in time/],
    ['too-many', 'too-many-questions', /too many authorization requests are already pending/],
  ];
  for (const [kind, code, text] of codes) {
    const broker = new FakeBroker(t);
    const client = new FakeClient();
    broker.authorizer.onAsk = () => ({ kind, detail: 'why' });
    const error = await t.throwsAsync(authorize(broker, client, requestOf(client)), { message: text });
    t.regex(error.message, /^rule "developers" requires authorization for org\.perfbroker\.kernel: /);
    t.like(error, { error: 'PolicyDenied', code, details: { reasons: [{ code: 'class', rule: 'own' }] } });
    t.like(broker.records, [{ answer: kind, detail: 'why' }]);
  }
});

test('a withdrawn question means that the caller has gone, or that the broker is stopping', async (t) => {
  const broker = new FakeBroker(t);
  const client = new FakeClient();
  broker.authorizer.onAsk = () => ({ kind: 'withdrawn', detail: '' });
  const asked = (): Promise<void> => authorize(broker, client, requestOf(client));
  t.like(await t.throwsAsync(asked()), { error: 'TargetGone', code: 'client-gone' });
  broker.phase = 'stopping';
  t.like(await t.throwsAsync(asked()), { error: 'Unavailable', code: 'shutting-down' });
});

test('a yes does not count for a client that has disconnected, or for another process with the same pid', async (t) => {
  const broker = new FakeBroker(t);
  const client = new FakeClient();
  broker.authorizer.onAsk = () => {
    client.disconnect();
    return { kind: 'authorized', detail: '' };
  };
  const gone = { error: 'TargetGone', code: 'client-gone' };
  t.like(await t.throwsAsync(authorize(broker, client, requestOf(client))), gone);
  const before = new FakeClient(peerOf({ startTime: 1n }));
  broker.authorizer.onAsk = () => ({ kind: 'authorized', detail: '' });
  t.like(await t.throwsAsync(authorize(broker, before, requestOf(before))), gone);
});
