/** Open, PrepareOpen and Redeem from parameters to reply, without helper processes. */
import test, { type ExecutionContext } from 'ava';
import { open, prepareOpen, redeem } from '#dist/broker/methods/open/method.js';
import { BrokerError } from '#dist/model/errors/errors.js';
import { native } from '#dist/native.js';
import { callOf, CLOCK, FakeBroker, FakeClient, FakeReply, FRONT_END, settledFds, peerOf, policyOf } from '../fakes.js';

const TARGET = { kind: 'process', pid: process.pid, threads: 'leader' } as const;
const PARAMETERS = { targets: [TARGET], events: [CLOCK] };

async function openWith(
  t: ExecutionContext,
  broker: FakeBroker,
  parameters: object = PARAMETERS,
): Promise<{ reply: FakeReply; client: FakeClient; error: BrokerError | undefined }> {
  const client = new FakeClient();
  const reply = new FakeReply();
  let error: BrokerError | undefined;
  try {
    await open(broker, callOf(client, parameters), reply);
  } catch (thrown) {
    if (!(thrown instanceof BrokerError)) throw thrown;
    error = thrown;
  }
  t.is(reply.replies.length, error === undefined ? 1 : 0);
  return { reply, client, error };
}

test.serial('an allowed request is opened, recorded, granted and answered with its fds', async (t) => {
  const broker = new FakeBroker(t);
  const { reply, client } = await openWith(t, broker);
  const [grant] = broker.grants.list('all');
  t.like(reply.replies, [
    { grant: grant?.id, unstable: false, slots: [{ fd: 0, event: 0, target: 0, tid: process.pid }] },
  ]);
  t.deepEqual(reply.lent, grant?.parts.fds);
  t.is(grant?.parts.owner, client);
  t.deepEqual(broker.said, ['open allow']);
  t.like(broker.records[0], { grant: grant?.id, fds: 1, rule: 'own' });
  t.deepEqual([broker.opener.done, broker.opener.released], [1, 1]);
  t.is(broker.quota.usage(client.subject.uid).fds, 1);
});

test.serial('a denied request opens nothing, is recorded, and releases its targets', async (t) => {
  const before = await settledFds();
  const broker = new FakeBroker(t, policyOf('deny'));
  const { error } = await openWith(t, broker);
  t.like(error, { error: 'PolicyDenied', code: 'denied' });
  t.deepEqual(broker.said, ['open deny']);
  t.deepEqual([broker.opener.scopes.length, broker.grants.size, await settledFds()], [0, 0, before]);
});

test.serial('a request that a rule asks about is opened after polkit has authorized it', async (t) => {
  const broker = new FakeBroker(t, policyOf('ask'));
  broker.authorizer.onAsk = () => {
    t.is(broker.opener.scopes.length, 0, 'nothing was opened before');
    return { kind: 'authorized', detail: '' };
  };
  const { error } = await openWith(t, broker, { ...PARAMETERS, allowInteractive: true });
  t.is(error, undefined);
  t.deepEqual(broker.said, ['ask allow', 'open allow']);
  t.like(broker.authorizer.questions, [{ action: 'count-own', interactive: true, busName: null }]);
  t.deepEqual(broker.records[1]?.['authorized'], ['org.perfbroker.count-own']);
});

test.serial('a request that polkit refuses opens nothing', async (t) => {
  const before = await settledFds();
  const broker = new FakeBroker(t, policyOf('ask'));
  broker.authorizer.onAsk = () => ({ kind: 'refused', detail: '' });
  const { error } = await openWith(t, broker);
  t.like(error, { error: 'PolicyDenied', code: 'not-authorized' });
  t.deepEqual(broker.said, ['ask deny']);
  t.deepEqual([broker.opener.scopes.length, await settledFds()], [0, before]);
});

test.serial('the policy is asked again after polkit, and the policy of that moment counts', async (t) => {
  const before = await settledFds();
  const broker = new FakeBroker(t, policyOf('ask'));
  broker.authorizer.onAsk = () => {
    broker.policy = policyOf('deny');
    return { kind: 'authorized', detail: '' };
  };
  const { error } = await openWith(t, broker);
  t.like(error, { error: 'PolicyDenied', code: 'denied' });
  t.deepEqual(broker.said, ['ask allow', 'open deny']);
  t.deepEqual([broker.opener.scopes.length, await settledFds()], [0, before]);
});

test.serial('a request whose fds need several replies is refused before polkit is asked', async (t) => {
  const broker = new FakeBroker(t, policyOf('ask'));
  const targets = Array.from({ length: 254 }, () => TARGET);
  const { error } = await openWith(t, broker, { targets, events: [CLOCK] });
  t.like(error, { error: 'InvalidTarget', code: 'too-many-threads' });
  t.deepEqual([broker.authorizer.questions.length, broker.opener.scopes.length], [0, 0]);
});

test.serial('a call with "more" gets the fds of a large request in several replies', async (t) => {
  const broker = new FakeBroker(t);
  const targets = Array.from({ length: 254 }, () => TARGET);
  const reply = new FakeReply();
  await open(broker, callOf(new FakeClient(), { targets, events: [CLOCK] }, [], true), reply);
  t.deepEqual(
    reply.replies.map((each) => (each as { slots: unknown[] }).slots.length),
    [253, 1],
  );
  t.is(new Set(reply.lent).size, 254);
});

test.serial('a downgrade is carried out after the events are open and before they are handed over', async (t) => {
  const broker = new FakeBroker(t);
  broker.tracer.onDowngrade = () => {
    t.deepEqual([broker.opener.requests.length, broker.grants.size], [1, 0]);
    return { status: 'downgraded', detail: 0, tid: 0, stoppedMicroseconds: 7, threads: [] };
  };
  const parameters = { targets: [{ kind: 'process', pid: process.pid }], events: [CLOCK] };
  broker.opener.onOpen = () => ({ errno: (slot) => (slot === 0 ? 0 : 3) });
  const { reply } = await openWith(t, broker, { ...parameters, downgrade: { drop: ['CAP_PERFMON'] } });
  t.like(reply.replies, [{ downgraded: { pid: process.pid, stoppedMicroseconds: 7 } }]);
  t.deepEqual(broker.said, ['downgrade allow', 'downgraded allow', 'open allow']);
});

test.serial('events of a request whose downgrade fails are closed', async (t) => {
  const before = await settledFds();
  const broker = new FakeBroker(t);
  broker.tracer.onDowngrade = () => ({
    status: 'deadline',
    detail: 0,
    tid: 0,
    stoppedMicroseconds: 0,
    threads: [],
  });
  broker.opener.onOpen = () => ({ errno: (slot) => (slot === 0 ? 0 : 3) });
  const targets = [{ kind: 'process', pid: process.pid }];
  const { error } = await openWith(t, broker, { targets, events: [CLOCK], downgrade: { drop: ['CAP_PERFMON'] } });
  t.like(error, { error: 'DowngradeRefused', code: 'deadline' });
  t.deepEqual(broker.said, ['downgrade allow', 'open error']);
  t.deepEqual([broker.grants.size, await settledFds()], [0, before]);
});

/** PrepareOpen by the front end for this process. @returns the ticket */
async function ticketFor(broker: FakeBroker, parameters: object = PARAMETERS): Promise<string> {
  const frontEnd = new FakeClient(peerOf({ uid: FRONT_END, pid: 1 }));
  const reply = new FakeReply();
  const { uid } = peerOf().subject;
  const sender = { busName: ':1.5', uid, pidfd: 0 };
  const call = callOf(frontEnd, { ...parameters, sender }, [native.pidfdOpen(process.pid)]);
  await prepareOpen(broker, call, reply);
  return (reply.replies[0] as { ticket: string }).ticket;
}

test.serial('a ticket is redeemed once, by its user, as a request of the client that redeems it', async (t) => {
  const broker = new FakeBroker(t);
  const ticket = await ticketFor(broker);
  t.deepEqual([broker.opener.scopes.length, broker.tickets.size], [0, 1]);
  t.like(broker.records[0], { action: 'prepare', verdict: 'allow', busName: ':1.5', by: process.pid });
  const client = new FakeClient(peerOf({ pid: 77 }));
  const reply = new FakeReply();
  await redeem(broker, callOf(client, { ticket }), reply);
  t.is(reply.replies.length, 1);
  t.like(broker.records[1], { action: 'open', verdict: 'allow', by: 77 });
  const again = redeem(broker, callOf(client, { ticket }), reply);
  t.like(await t.throwsAsync(again), { error: 'NoSuchGrant', code: 'ticket' });
});

test.serial('a ticket stays valid when its call has no room for the fds', async (t) => {
  const broker = new FakeBroker(t);
  const ticket = await ticketFor(broker, { targets: Array.from({ length: 254 }, () => TARGET), events: [CLOCK] });
  const redeeming = redeem(broker, callOf(new FakeClient(), { ticket }), new FakeReply());
  t.like(await t.throwsAsync(redeeming), { error: 'InvalidTarget', code: 'too-many-threads' });
  t.is(broker.tickets.size, 1);
  const reply = new FakeReply();
  await redeem(broker, callOf(new FakeClient(), { ticket }, [], true), reply);
  t.is(reply.replies.length, 2);
  t.is(broker.tickets.size, 0);
});

test.serial('a broker that is ending issues no tickets, and releases the targets', async (t) => {
  const before = await settledFds();
  const broker = new FakeBroker(t);
  broker.phase = 'draining';
  await t.throwsAsync(ticketFor(broker), { message: /no tickets/ });
  t.deepEqual([broker.tickets.size, await settledFds()], [0, before]);
});

test.serial('the policy is asked again for a ticket, and no further authorization is requested', async (t) => {
  const before = await settledFds();
  const broker = new FakeBroker(t);
  const ticket = await ticketFor(broker);
  broker.policy = policyOf('ask');
  const redeeming = redeem(broker, callOf(new FakeClient(), { ticket }), new FakeReply());
  const error = await t.throwsAsync(redeeming);
  t.like(error, { error: 'PolicyDenied', code: 'policy-changed' });
  t.regex(error.message, /rule "own" now also requires authorization for org\.perfbroker\.count-own/);
  t.deepEqual(broker.said, ['prepare allow', 'open deny']);
  t.deepEqual([broker.authorizer.questions.length, broker.opener.scopes.length, await settledFds()], [0, 0, before]);
});

test.serial('the authorization of a ticket still counts when the ticket is redeemed', async (t) => {
  const broker = new FakeBroker(t, policyOf('ask'));
  const ticket = await ticketFor(broker);
  await redeem(broker, callOf(new FakeClient(), { ticket }), new FakeReply());
  t.deepEqual(broker.said, ['ask allow', 'prepare allow', 'open allow']);
  t.is(broker.authorizer.questions.length, 1);
});
