import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { GrantWatch } from '#dist/bus/objects/grant_watch.js';
import { createLogger } from '#dist/common/logger.js';
import { grantOf, startFakeBroker, type FakeBroker } from '../fake_broker.js';

interface World {
  readonly broker: FakeBroker;
  readonly watch: GrantWatch;
  /** Notifications so far, each as text. */
  readonly told: string[];
}

function setUp(t: ExecutionContext): World {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-watch-'));
  const broker = startFakeBroker(directory);
  const told: string[] = [];
  const watch = new GrantWatch(
    broker.socket,
    createLogger({ program: 'test', level: 'error' }),
    ({ change, grant, reason }) => told.push(`${change} ${grant.id} ${reason}`.trim()),
  );
  t.teardown(() => {
    watch.close();
    broker.close();
    rmSync(directory, { recursive: true });
  });
  return { broker, watch, told };
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('waited for 10 s');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test('a lost connection does not end live grants: the broker is asked again', async (t) => {
  const { broker, watch, told } = setUp(t);
  broker.grants = [grantOf(1, 'aa'), grantOf(1, 'bb')];
  watch.ensure();
  await until(() => watch.size === 2);
  t.deepEqual(told, []); // they were there before
  broker.grants = [grantOf(1, 'bb'), grantOf(1, 'cc')];
  broker.dropAll();
  await until(() => told.length === 2);
  t.deepEqual(told, ['added cc', 'removed aa shutdown']);
  t.is(watch.size, 2);
  broker.announce('removed', grantOf(1, 'bb'), 'lease');
  await until(() => told.length === 3);
  t.is(told[2], 'removed bb lease');
});

test('when the broker ends, its grants end', async (t) => {
  const { broker, watch, told } = setUp(t);
  broker.grants = [grantOf(1, 'aa'), grantOf(1, 'bb')];
  watch.ensure();
  await until(() => watch.size === 2);
  broker.close();
  await until(() => told.length === 2);
  t.deepEqual(told, ['removed aa shutdown', 'removed bb shutdown']);
  t.is(watch.size, 0);
});

test('a broker that will not be watched a second time is not asked a third time', async (t) => {
  const { broker, watch, told } = setUp(t);
  broker.grants = [grantOf(1, 'aa')];
  watch.ensure();
  await until(() => watch.size === 1);
  let asked = 0;
  broker.handlers['WatchGrants'] = (_, reply) => {
    asked += 1;
    reply.error('PolicyDenied', { code: 'x', message: '', errno: 0, cause: '', remedy: '', reasons: [] });
  };
  broker.dropAll();
  await until(() => told.length === 1);
  t.deepEqual(told, ['removed aa shutdown']);
  await new Promise((resolve) => setTimeout(resolve, 100));
  t.is(asked, 1);
});

test('a grant that began while there was no connection is reported on the next one', async (t) => {
  const { broker, watch, told } = setUp(t);
  watch.ensure();
  await until(() => broker.connections === 1);
  broker.dropAll();
  broker.grants = [grantOf(1, 'aa')];
  await new Promise((resolve) => setTimeout(resolve, 1100)); // it does not connect by itself for this
  t.is(broker.connections, 0);
  watch.ensure();
  await until(() => told.length === 1);
  t.deepEqual(told, ['added aa']);
});
