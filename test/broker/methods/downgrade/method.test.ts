/** Downgrade, PrepareDowngrade and RedeemDowngrade from parameters to reply, without helper processes. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import test, { type ExecutionContext } from 'ava';
import { downgrade, prepareDowngrade, redeemDowngrade } from '#dist/broker/methods/downgrade/method.js';
import { redeem } from '#dist/broker/methods/open/method.js';
import { native } from '#dist/native.js';
import { callOf, FakeBroker, FakeClient, FakeReply, FRONT_END, settledFds, peerOf, policyOf } from '../fakes.js';

type Sleeper = ChildProcess & { readonly pid: number };

async function sleeper(t: ExecutionContext): Promise<Sleeper> {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child, 'spawn');
  return child as Sleeper;
}

function parametersFor({ pid }: Sleeper): object {
  return { target: { kind: 'process', pid }, drop: ['CAP_PERFMON'] };
}

test.serial('an allowed downgrade is carried out, recorded and answered, and its target released', async (t) => {
  const broker = new FakeBroker(t);
  const child = await sleeper(t);
  const before = await settledFds();
  const reply = new FakeReply();
  await downgrade(broker, callOf(new FakeClient(), parametersFor(child)), reply);
  t.like(reply.replies, [{ processes: [{ pid: child.pid }] }]);
  t.deepEqual(broker.said, ['downgrade allow', 'downgraded allow']);
  t.is(await settledFds(), before);
});

test.serial('a denied downgrade sends nothing to the tracer and holds nothing', async (t) => {
  const broker = new FakeBroker(t, policyOf('deny'));
  const child = await sleeper(t);
  const before = await settledFds();
  const denied = downgrade(broker, callOf(new FakeClient(), parametersFor(child)), new FakeReply());
  t.like(await t.throwsAsync(denied), { error: 'PolicyDenied', code: 'denied' });
  t.deepEqual([broker.said, broker.tracer.requests, await settledFds()], [['downgrade deny'], [], before]);
});

test.serial('a target that has ended while polkit was asked is not downgraded', async (t) => {
  const broker = new FakeBroker(t, policyOf('ask'));
  const child = await sleeper(t);
  const before = await settledFds();
  broker.authorizer.onAsk = async () => {
    child.kill('SIGKILL');
    await once(child, 'exit');
    return { kind: 'authorized', detail: '' };
  };
  const asked = downgrade(broker, callOf(new FakeClient(), parametersFor(child)), new FakeReply());
  t.like(await t.throwsAsync(asked), { error: 'TargetGone', code: 'exited' });
  t.deepEqual([broker.said, broker.tracer.requests], [['ask allow'], []]);
  t.true((await settledFds()) <= before);
});

test.serial(
  'a daemon without a tracer, a thread as target, and fds that no target refers to are refused',
  async (t) => {
    const broker = new FakeBroker(t);
    const child = await sleeper(t);
    const before = await settledFds();
    const attempt = async (parameters: object, fds: number[] = [], each: FakeBroker = broker): Promise<string> => {
      const call = callOf(new FakeClient(), { ...parametersFor(child), ...parameters }, fds);
      const error = await t.throwsAsync(downgrade(each, call, new FakeReply()));
      call.fds.closeRest();
      return (error as unknown as { code: string }).code;
    };
    t.is(await attempt({ target: { kind: 'process', pid: child.pid, threads: 'leader' } }), 'target-kind');
    t.is(await attempt({}, [native.pidfdOpen(child.pid)]), 'unused');
    const without = new FakeBroker(t);
    Object.assign(without.dependencies, { tracer: null });
    t.is(await attempt({}, [], without), 'no-tracer');
    t.is(await settledFds(), before);
  },
);

async function ticketFor(broker: FakeBroker, child: Sleeper): Promise<string> {
  const frontEnd = new FakeClient(peerOf({ uid: FRONT_END, pid: 1 }));
  const reply = new FakeReply();
  const sender = { busName: ':1.5', uid: peerOf().subject.uid, pidfd: 0 };
  const call = callOf(frontEnd, { ...parametersFor(child), sender }, [native.pidfdOpen(process.pid)]);
  await prepareDowngrade(broker, call, reply);
  return (reply.replies[0] as { ticket: string }).ticket;
}

test.serial('a ticket for a downgrade is redeemed once, and not as one for an Open', async (t) => {
  const broker = new FakeBroker(t);
  const child = await sleeper(t);
  const ticket = await ticketFor(broker, child);
  t.deepEqual([broker.said, broker.tracer.requests], [['prepare allow'], []]);
  const call = callOf(new FakeClient(), { ticket });
  t.like(await t.throwsAsync(redeem(broker, call, new FakeReply())), { error: 'NoSuchGrant', code: 'ticket' });
  const reply = new FakeReply();
  await redeemDowngrade(broker, call, reply);
  t.like(reply.replies, [{ processes: [{ pid: child.pid }] }]);
  const again = redeemDowngrade(broker, call, reply);
  t.like(await t.throwsAsync(again), { error: 'NoSuchGrant', code: 'ticket' });
});

test.serial('a broker that is ending issues no tickets for downgrades', async (t) => {
  const broker = new FakeBroker(t);
  const child = await sleeper(t);
  broker.phase = 'draining';
  await t.throwsAsync(ticketFor(broker, child), { message: /no tickets/ });
  t.is(broker.tickets.size, 0);
});

test.serial('the target of a ticket is checked again when it is redeemed', async (t) => {
  const broker = new FakeBroker(t);
  const child = await sleeper(t);
  const before = await settledFds();
  const ticket = await ticketFor(broker, child);
  child.kill('SIGKILL');
  await once(child, 'exit');
  const redeeming = redeemDowngrade(broker, callOf(new FakeClient(), { ticket }), new FakeReply());
  t.like(await t.throwsAsync(redeeming), { error: 'TargetGone', code: 'exited' });
  t.deepEqual(broker.tracer.requests, []);
  t.true((await settledFds()) <= before);
});
