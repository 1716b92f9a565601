import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { Notifier } from '#dist/broker/lifecycle/notify.js';
import { startDatagramReader } from '../datagram_reader.js';

test('there is no notifier without $NOTIFY_SOCKET, nor for an address that is not of AF_UNIX', (t) => {
  t.is(Notifier.fromEnvironment({}), null);
  t.is(Notifier.fromEnvironment({ NOTIFY_SOCKET: '' }), null);
  t.is(Notifier.fromEnvironment({ NOTIFY_SOCKET: 'vsock:2:1234' }), null);
  t.is(Notifier.fromEnvironment({ NOTIFY_SOCKET: '@' }), null);
  t.not(Notifier.fromEnvironment({ NOTIFY_SOCKET: '/nowhere' }), null);
});

test('ready, reloading and stopping are as in sd_notify(3), and a status cannot add a line', async (t) => {
  const manager = await startDatagramReader();
  t.teardown(() => manager.end());
  const notifier = new Notifier(manager.path);
  notifier.ready('policy a\nMAINPID=1');
  notifier.reloading();
  notifier.stopping('idle');
  await manager.until(3);
  const [ready, reloading = '', stopping] = manager.received;
  t.is(ready, 'READY=1\nSTATUS=policy a\\u000aMAINPID=1');
  const microseconds = /^RELOADING=1\nMONOTONIC_USEC=(\d+)$/.exec(reloading)?.[1];
  t.true(Math.abs(Number(microseconds) - Number(process.hrtime.bigint() / 1000n)) < 10_000_000, reloading);
  t.is(stopping, 'STOPPING=1\nSTATUS=idle');
});

test('a status is sent at once, then once a second, and never twice the same', async (t) => {
  const manager = await startDatagramReader();
  t.teardown(() => manager.end());
  const notifier = new Notifier(manager.path);
  t.teardown(() => notifier.close());
  notifier.ready('0');
  for (let i = 1; i <= 50; i++) notifier.status(String(i));
  await manager.until(3);
  t.deepEqual(manager.received, ['READY=1\nSTATUS=0', 'STATUS=1', 'STATUS=50']);
  notifier.status('50');
  await sleep(1200);
  t.is(manager.received.length, 3);
});

test('the watchdog is fed at half of its time, only after a sign of life, and not while one is missing', async (t) => {
  const manager = await startDatagramReader();
  t.teardown(() => manager.end());
  const notifier = new Notifier(manager.path);
  t.teardown(() => notifier.close());
  let asked = 0;
  let release = (): void => undefined;
  const works = (): Promise<void> => {
    asked += 1;
    return asked < 3 ? Promise.resolve() : new Promise((resolve) => (release = resolve));
  };
  notifier.feedWatchdog(works, { WATCHDOG_USEC: '200000' });
  await manager.until(2);
  await sleep(500);
  t.deepEqual(manager.received, ['WATCHDOG=1', 'WATCHDOG=1'], 'a stuck part stops the feeding');
  t.is(asked, 3, 'and is not asked again');
  release();
  await manager.until(3);
});

test('a sign of life that fails does not feed the watchdog, and a missing or invalid $WATCHDOG_USEC starts no timer', async (t) => {
  const manager = await startDatagramReader();
  t.teardown(() => manager.end());
  const notifier = new Notifier(manager.path);
  t.teardown(() => notifier.close());
  let asked = 0;
  for (const WATCHDOG_USEC of [undefined, '', '0', '1999', '-5', 'x'])
    notifier.feedWatchdog(
      () => Promise.resolve(void (asked += 1)),
      WATCHDOG_USEC === undefined ? {} : { WATCHDOG_USEC },
    );
  t.is(asked, 0);
  notifier.feedWatchdog(() => Promise.reject(new Error('gone')), { WATCHDOG_USEC: '100000' });
  await sleep(300);
  t.deepEqual(manager.received, []);
});

test("another service's watchdog, whose variables were inherited, is not fed", async (t) => {
  const manager = await startDatagramReader();
  t.teardown(() => manager.end());
  const notifier = new Notifier(manager.path);
  t.teardown(() => notifier.close());
  const works = (): Promise<void> => Promise.resolve();
  notifier.feedWatchdog(works, { WATCHDOG_USEC: '100000', WATCHDOG_PID: '1' }, 4711);
  await sleep(200);
  t.deepEqual(manager.received, []);
  notifier.feedWatchdog(works, { WATCHDOG_USEC: '100000', WATCHDOG_PID: '4711' }, 4711);
  await manager.until(1);
});

test('a manager that does not read, or does not exist, has no effect on the service', async (t) => {
  const manager = await startDatagramReader();
  t.teardown(() => manager.end());
  await manager.stop();
  const notifier = new Notifier(manager.path);
  for (let i = 0; i < 5000; i++) notifier.ready('x');
  new Notifier('/nonexistent/socket').ready('x');
  t.pass();
});
