import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { watchGrants } from '#dist/client/watch_grants.js';
import { BrokerError } from '#dist/model/errors/errors.js';
import type { Replier } from '#dist/varlink/service.js';
import { FakeBroker } from './fake_broker.js';

/** A broker that says that there is no grant, and then what the test sends with `watcher`. */
function watched(): { broker: FakeBroker; parameters: unknown[]; watcher: () => Replier } {
  const parameters: unknown[] = [];
  let watcher: Replier | undefined;
  const broker = new FakeBroker({
    WatchGrants: (call, reply) => {
      parameters.push(call.parameters);
      watcher = reply;
      reply.continue({ change: 'present' });
      return new Promise(() => undefined);
    },
  });
  return { broker, parameters, watcher: () => watcher! };
}

test('changes come in their order, until the caller leaves the loop', async (t) => {
  const { broker, parameters, watcher } = watched();
  t.teardown(() => broker.close());
  const seen: string[] = [];
  for await (const { change, reason = '' } of watchGrants({ socket: broker.path, all: true })) {
    seen.push(`${change} ${reason}`);
    if (seen.length === 1) {
      watcher().continue({ change: 'added' });
      watcher().continue({ change: 'removed', reason: 'lease' });
    }
    if (change === 'removed') break;
  }
  t.deepEqual(seen, ['present ', 'added ', 'removed lease']);
  t.deepEqual(parameters, [{ all: true }]);
});

test('a signal ends the watch without an error, before it begins as well', async (t) => {
  const { broker } = watched();
  t.teardown(() => broker.close());
  const controller = new AbortController();
  let count = 0;
  for await (const { change } of watchGrants({ socket: broker.path, signal: controller.signal })) {
    count += change === 'present' ? 1 : 10;
    controller.abort();
  }
  t.is(count, 1);
  t.like(await watchGrants({ socket: broker.path, signal: controller.signal }).next(), { done: true });
});

test('a broker that ends, or is not there, is an error of the watch', async (t) => {
  const { broker } = watched();
  t.teardown(() => broker.close());
  const changes = watchGrants({ socket: broker.path });
  await changes.next();
  for (const connection of broker.connections) connection.close();
  t.like(await t.throwsAsync(changes.next(), { instanceOf: BrokerError }), { code: 'connection-lost' });
  const none = watchGrants({ socket: '/nonexistent' }).next();
  t.like(await t.throwsAsync(none, { instanceOf: BrokerError }), { code: 'not-running' });
});

test('changes that arrived before the broker ended are read before its error', async (t) => {
  const { broker, watcher } = watched();
  t.teardown(() => broker.close());
  const changes = watchGrants({ socket: broker.path });
  await changes.next();
  watcher().continue({ change: 'added' });
  watcher().continue({ change: 'removed', reason: 'shutdown' });
  for (const connection of broker.connections) connection.close();
  await sleep(100); // both changes and the end have arrived, as far as one can wait for that
  t.like(await changes.next(), { value: { change: 'added' } });
  t.like(await changes.next(), { value: { change: 'removed', reason: 'shutdown' } });
  t.like(await t.throwsAsync(changes.next(), { instanceOf: BrokerError }), { code: 'connection-lost' });
});
