import test from 'ava';
import { withBroker } from '#dist/cli/broker.js';
import { FakeBroker } from '../client/fake_broker.js';

test('the connection is closed when the work is done, and when it fails', async (t) => {
  const broker = new FakeBroker({
    ListGrants: (_call, reply) => void reply.reply({ grants: [] }),
  });
  t.teardown(() => broker.close());
  const kept = await withBroker(broker.path, async (client) => {
    t.deepEqual(await client.listGrants(), []);
    return client;
  });
  await t.throwsAsync(kept.listGrants(), { message: /connection to the broker ended/ });
  await t.throwsAsync(
    withBroker(broker.path, () => Promise.reject(new Error('the work failed'))),
    { message: 'the work failed' },
  );
});

test('without a path the socket is that of the environment', async (t) => {
  process.env['PERFBROKER_SOCKET'] = '/nonexistent';
  t.teardown(() => delete process.env['PERFBROKER_SOCKET']);
  await t.throwsAsync(
    withBroker(undefined, () => Promise.resolve()),
    { message: /\/nonexistent/ },
  );
});
