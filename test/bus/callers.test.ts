import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import type { BusDriver, Credentials } from '#dist/bus/bus_driver.js';
import { CALLER_LIMITS, Callers, type CallerLimits } from '#dist/bus/callers.js';
import { CallError, type StandardError } from '#dist/bus/dbus_error.js';
import { createLog } from '#dist/bus/log.js';

/** A bus that knows what it is told. */
class FakeDriver {
  readonly known = new Map<string, Credentials>();
  readonly watched = new Set<string>();
  lookups = 0;
  hold: Promise<void> = Promise.resolve();
  between: () => void = () => {};

  async credentials(name: string): Promise<Credentials | null> {
    this.lookups += 1;
    await this.hold;
    const found = this.known.get(name) ?? null;
    this.between();
    return found;
  }
  watch(name: string): Promise<void> {
    this.watched.add(name);
    return Promise.resolve();
  }
  unwatch(name: string): Promise<void> {
    this.watched.delete(name);
    return Promise.resolve();
  }
}

function setUp(limits: Partial<CallerLimits> = {}): { driver: FakeDriver; callers: Callers } {
  const driver = new FakeDriver();
  const log = createLog('error', false);
  return { driver, callers: new Callers(driver as unknown as BusDriver, log, { ...CALLER_LIMITS, ...limits }) };
}

async function refused(t: ExecutionContext, call: Promise<unknown>, name: StandardError): Promise<void> {
  const error = await t.throwsAsync(call, { instanceOf: CallError });
  t.is(error.error, name);
}

const pidfds = (): number => readdirSync('/proc/self/fd').length;
const uidOf = (uid: number): Credentials => ({ uid, pid: process.pid });
const hang = (): Promise<never> => new Promise(() => {});

test.serial('a caller is identified once, remembered, and forgotten when it leaves', async (t) => {
  const { driver, callers } = setUp();
  driver.known.set(':1.1', uidOf(1000));
  const before = pidfds();
  for (let count = 0; count < 3; count++)
    t.is(await callers.run(':1.1', (caller) => Promise.resolve(caller.uid)), 1000);
  t.is(driver.lookups, 2); // before and after the pidfd
  t.deepEqual([...driver.watched], [':1.1']);
  const gone = await callers.run(':1.1', (caller) => Promise.resolve(caller.gone));
  t.false(gone.aborted);
  callers.leave(':1.1');
  t.true(gone.aborted);
  t.deepEqual([...driver.watched], []);
  t.deepEqual([...callers.known()], []);
  t.is(pidfds(), before);
});

test.serial('who is not seen by the bus, has left, or is another process by now is refused', async (t) => {
  const { driver, callers } = setUp();
  const before = pidfds();
  const run = (name: string): Promise<unknown> => callers.run(name, () => Promise.resolve());
  driver.known.set(':1.1', { uid: 1000, pid: 0 });
  await refused(t, run(':1.1'), 'AccessDenied');
  await refused(t, run(':1.2'), 'Failed');
  const child = spawn('true');
  await once(child, 'close');
  driver.known.set(':1.3', { uid: 1000, pid: child.pid! });
  await refused(t, run(':1.3'), 'Failed');
  driver.known.set(':1.4', uidOf(1000));
  driver.between = () => driver.known.set(':1.4', { uid: 1000, pid: 1 });
  await refused(t, run(':1.4'), 'Failed');
  driver.between = () => driver.known.delete(':1.5');
  driver.known.set(':1.5', uidOf(1000));
  await refused(t, run(':1.5'), 'Failed');
  t.is(callers.calls, 0);
  t.is(driver.watched.size, 0);
  t.is(pidfds(), before);
});

test.serial('a caller that leaves while the bus is asked about it leaves nothing', async (t) => {
  const { driver, callers } = setUp();
  driver.known.set(':1.1', uidOf(1000));
  const before = pidfds();
  let release = (): void => {};
  driver.hold = new Promise((resolve) => (release = resolve));
  const call = callers.run(':1.1', () => Promise.resolve('ran'));
  callers.leave(':1.1');
  release();
  await refused(t, call, 'Failed');
  t.is(pidfds(), before);
  t.is(callers.calls, 0);
});

test.serial('calls under way are limited by connection, by user and in all', async (t) => {
  const { driver, callers } = setUp({ callsPerName: 2, callsPerUser: 3, calls: 5 });
  for (const [index, uid] of [1000, 1000, 1000, 2000, 3000].entries()) driver.known.set(`:1.${index}`, uidOf(uid));
  const run = (name: string): Promise<unknown> => callers.run(name, hang);
  const start = (name: string): void => void run(name).catch(() => {});
  start(':1.0');
  start(':1.0');
  await refused(t, run(':1.0'), 'LimitsExceeded');
  start(':1.1');
  await new Promise((resolve) => setTimeout(resolve, 10));
  await refused(t, run(':1.2'), 'LimitsExceeded');
  start(':1.3'); // another user
  start(':1.3');
  await refused(t, run(':1.4'), 'LimitsExceeded');
  t.is(callers.calls, 5);
  for (const name of driver.known.keys()) callers.leave(name);
});

test.serial('lookups under way are limited', async (t) => {
  const { driver, callers } = setUp({ lookups: 2 });
  driver.hold = hang();
  void callers.run(':1.1', hang);
  void callers.run(':1.2', hang);
  await refused(t, callers.run(':1.3', hang), 'LimitsExceeded');
});

test.serial('of one user, and of all, the connections that have not called for longest are forgotten', async (t) => {
  const { driver, callers } = setUp({ namesPerUser: 2, names: 3 });
  const before = pidfds();
  const run = async (name: string, uid: number): Promise<void> => {
    driver.known.set(name, uidOf(uid));
    await callers.run(name, () => Promise.resolve());
  };
  const names = (): string[] => [...callers.known()].map(({ name }) => name);
  await run(':1.1', 1000);
  await run(':1.2', 1000);
  await run(':1.1', 1000);
  await run(':1.3', 1000);
  t.deepEqual(names(), [':1.1', ':1.3']);
  await run(':1.4', 2000);
  await run(':1.5', 3000);
  t.deepEqual(names(), [':1.3', ':1.4', ':1.5']);
  for (const name of names()) callers.leave(name);
  t.is(pidfds(), before);
});
