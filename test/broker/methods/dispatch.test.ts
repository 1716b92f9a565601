import { openSync } from 'node:fs';
import test from 'ava';
import { brokerMethods } from '#dist/broker/methods/dispatch.js';
import type { ClientConnection } from '#dist/broker/processes/client_connection.js';
import { BROKER_INTERFACE } from '#dist/interfaces/broker_interface.js';
import type { MethodHandler, Replier } from '#dist/varlink/service.js';
import { callOf, FakeBroker, FakeClient, FakeReply, settledFds } from './fakes.js';

test('every method of the interface has a handler, and there is no other', (t) => {
  const handlers = brokerMethods(new FakeBroker(t));
  t.deepEqual(Object.keys(handlers).sort(), Object.keys(BROKER_INTERFACE.methods).sort());
});

test('methods without targets and senders take no fds', async (t) => {
  const before = await settledFds();
  const handlers = brokerMethods(new FakeBroker(t));
  for (const method of ['Describe', 'Redeem', 'RedeemDowngrade', 'Mapped', 'WatchGrants']) {
    const handler = handlers[method] as MethodHandler<ClientConnection>;
    const call = callOf(new FakeClient(), {}, [openSync('/dev/null', 'r')]);
    const error = t.throws(() => handler(call as never, new FakeReply() as unknown as Replier));
    t.like(error, { error: 'UnexpectedFds', code: 'method' });
    call.fds.closeRest();
  }
  t.is(await settledFds(), before);
});
