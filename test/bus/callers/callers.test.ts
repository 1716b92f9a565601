import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import type { SubordinateUids } from '#dist/model/identity/subordinate_uids.js';
import type { BusDriver, Credentials } from '#dist/bus/callers/bus_driver.js';
import { ByteBudget } from '#dist/bus/transport/byte_budget.js';
import { CALLER_LIMITS, Callers, type Caller, type CallerLimits } from '#dist/bus/callers/callers.js';
import { CallError, type StandardError } from '#dist/bus/dbus_error.js';

/** A bus that knows only the connections in `known`. */
class FakeDriver {
  readonly known = new Map<string, Credentials>();
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
}

interface World {
  readonly driver: FakeDriver;
  readonly callers: Callers;
  readonly run: <Result>(name: string, body: (caller: Caller) => Promise<Result>, bytes?: number) => Promise<Result>;
}

function setUp(limits: Partial<CallerLimits> = {}, allowance?: ByteBudget): World {
  const driver = new FakeDriver();
  const callers = new Callers(driver as unknown as BusDriver, { ...CALLER_LIMITS, ...limits }, allowance);
  return { driver, callers, run: (name, body, bytes = 100) => callers.run(name, bytes, body) };
}

async function refused(t: ExecutionContext, call: Promise<unknown>, name: StandardError): Promise<void> {
  const error = await t.throwsAsync(call, { instanceOf: CallError });
  t.is(error.error, name);
}

const pidfds = (): number => readdirSync('/proc/self/fd').length;
const uidOf = (uid: number): Credentials => ({ uid, pid: process.pid });
const soon = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 10));
const hang = (): Promise<never> => new Promise(() => {});

test.serial('a caller is identified once, remembered, and forgotten when it leaves', async (t) => {
  const { driver, callers, run } = setUp();
  driver.known.set(':1.1', uidOf(1000));
  const before = pidfds();
  for (let count = 0; count < 3; count++) t.is(await run(':1.1', (caller) => Promise.resolve(caller.uid)), 1000);
  t.is(driver.lookups, 2); // before and after the pidfd
  const gone = await run(':1.1', (caller) => Promise.resolve(caller.gone));
  t.false(gone.aborted);
  callers.leave(':1.1');
  t.true(gone.aborted);
  t.deepEqual([...callers.known()], []);
  t.is(pidfds(), before);
});

test.serial(
  'a caller that the bus does not see, that has left, or that is another process by now is refused',
  async (t) => {
    const { driver, callers, ...world } = setUp();
    const before = pidfds();
    const run = (name: string): Promise<unknown> => world.run(name, () => Promise.resolve());
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
    t.is(pidfds(), before);
  },
);

test.serial('a caller that leaves while the bus is asked about it leaves nothing behind', async (t) => {
  const { driver, callers, run } = setUp();
  driver.known.set(':1.1', uidOf(1000));
  const before = pidfds();
  let release = (): void => {};
  driver.hold = new Promise((resolve) => (release = resolve));
  const call = run(':1.1', () => Promise.resolve('ran'));
  callers.leave(':1.1');
  release();
  await refused(t, call, 'Failed');
  t.is(pidfds(), before);
  t.is(callers.calls, 0);
});

test.serial('calls under way are limited by connection, by user and in all', async (t) => {
  const { driver, callers, ...world } = setUp({ callsPerName: 2, callsPerUser: 3, calls: 5 });
  for (const [index, uid] of [1000, 1000, 1000, 2000, 3000].entries()) driver.known.set(`:1.${index}`, uidOf(uid));
  const run = (name: string): Promise<unknown> => world.run(name, hang);
  const start = (name: string): void => void run(name).catch(() => {});
  start(':1.0');
  start(':1.0');
  await refused(t, run(':1.0'), 'LimitsExceeded');
  start(':1.1');
  await soon();
  await refused(t, run(':1.2'), 'LimitsExceeded');
  start(':1.3'); // another user
  start(':1.3');
  await refused(t, run(':1.4'), 'LimitsExceeded');
  t.is(callers.calls, 5);
  for (const name of driver.known.keys()) callers.leave(name);
});

test.serial(
  'one user with many connections takes no place of others, even before the owner of the connections is known',
  async (t) => {
    const { driver, callers, run } = setUp({ callsPerUser: 3, calls: 5, lookups: 2 });
    let release = (): void => {};
    driver.hold = new Promise((resolve) => (release = resolve));
    const many = Array.from({ length: 20 }, (_, index) => `:1.${index}`);
    for (const name of many) driver.known.set(name, uidOf(1000));
    driver.known.set(':2.0', uidOf(2000));
    const outcomes = many.map((name) => run(name, hang).catch((error: unknown) => (error as CallError).error));
    const other = run(':2.0', () => Promise.resolve('served'));
    t.is(driver.lookups, 2); // at the bus are those whose turn it is
    release();
    t.is(await other, 'served');
    t.deepEqual(await Promise.all(outcomes.slice(3)), Array(17).fill('LimitsExceeded'));
    t.is(callers.calls, 3);
    for (const name of driver.known.keys()) callers.leave(name);
  },
);

test.serial('lookups run in order, and the number that wait is limited', async (t) => {
  const { driver, run } = setUp({ lookups: 2, waiting: 2 });
  let release = (): void => {};
  driver.hold = new Promise((resolve) => (release = resolve));
  const served: string[] = [];
  const names = [':1.1', ':1.2', ':1.3', ':1.4'];
  for (const name of [...names, ':1.5']) driver.known.set(name, uidOf(1000));
  const calls = names.map((name) => run(name, () => Promise.resolve(served.push(name))));
  await refused(t, run(':1.5', hang), 'LimitsExceeded');
  release();
  await Promise.all(calls);
  t.deepEqual(served, names);
  t.is(await run(':1.5', () => Promise.resolve('served')), 'served');
});

test.serial('a caller that leaves while it waits for its turn leaves the queue', async (t) => {
  const { driver, callers, run } = setUp({ lookups: 1, waiting: 2 });
  let release = (): void => {};
  driver.hold = new Promise((resolve) => (release = resolve));
  for (const name of [':1.1', ':1.2', ':1.3', ':2.0']) driver.known.set(name, uidOf(name === ':2.0' ? 2000 : 1000));
  const first = run(':1.1', () => Promise.resolve('served'));
  for (const name of [':1.2', ':1.3']) {
    const left = refused(t, run(name, hang), 'Failed');
    callers.leave(name);
    await left;
  }
  const other = run(':2.0', () => Promise.resolve('served'));
  release();
  t.deepEqual(await Promise.all([first, other]), ['served', 'served']);
  t.is(driver.lookups, 4); // of two connections, twice each
  t.is(callers.calls, 0);
});

test.serial('connections that are not known yet displace no known caller and no call under way', async (t) => {
  const { driver, callers, run } = setUp({ names: 4, waiting: 8 });
  const goneOf = (name: string): Promise<AbortSignal> => run(name, (caller) => Promise.resolve(caller.gone));
  for (const [index, name] of [':1.1', ':1.2', ':1.3'].entries()) driver.known.set(name, uidOf(1000 + index));
  const known = [await goneOf(':1.1'), await goneOf(':1.2')];
  let finish = (): void => {};
  let heard = false;
  const long = run(':1.3', async () => {
    await new Promise<void>((resolve) => (finish = resolve));
    heard = callers.mayReceive(':1.3');
  });
  await soon();
  callers.charge(':9.9', 1 << 30); // empties the account that all unknown connections share
  let release = (): void => {};
  driver.hold = new Promise((resolve) => (release = resolve));
  const many = Array.from({ length: 8 }, (_, index) => run(`:2.${index}`, hang).catch(() => {}));
  await soon();
  finish();
  await long;
  t.true(heard);
  t.deepEqual(
    known.map(({ aborted }) => aborted),
    [false, false],
  );
  release();
  await Promise.all(many);
});

test.serial('the bytes that wait until a connection is known are limited', async (t) => {
  const { driver, run } = setUp({ waitingBytes: 1000 });
  let release = (): void => {};
  driver.hold = new Promise((resolve) => (release = resolve));
  driver.known.set(':1.1', uidOf(1000));
  const large = run(':1.1', () => Promise.resolve('served'), 5000); // one may be as long as it is
  await refused(t, run(':1.1', hang, 100), 'LimitsExceeded');
  release();
  t.is(await large, 'served');
  t.is(await run(':1.1', () => Promise.resolve('served'), 5000), 'served');
});

test.serial(
  "a caller over its user's allowance is refused, then gets no reply at all, and others are served",
  async (t) => {
    let now = 0;
    const allowance = new ByteBudget({ perSecond: 1000, burst: 50_000, debt: 20_000 }, () => now);
    const { driver, callers, run } = setUp({}, allowance);
    for (const [name, uid] of [
      [':1.1', 1000],
      [':1.2', 1000],
      [':1.3', 2000],
    ] as const)
      driver.known.set(name, uidOf(uid));
    const call = (name: string, bytes?: number): Promise<string> => run(name, () => Promise.resolve('served'), bytes);
    for (const name of driver.known.keys()) t.is(await call(name), 'served');
    callers.charge(':1.1', 50_000); // what it was sent
    await refused(t, call(':1.1'), 'LimitsExceeded');
    await refused(t, call(':1.2'), 'LimitsExceeded');
    t.true(callers.mayReceive(':1.2'));
    t.deepEqual(
      [...callers.known()].map(({ name }) => name),
      [':1.3'], // no signals either
    );
    callers.charge(':1.2', 20_000);
    t.false(callers.mayReceive(':1.1'));
    t.true(callers.mayReceive(':1.3'));
    t.is(await call(':1.3'), 'served');
    now += 26_000;
    t.is(await call(':1.1', 3000), 'served'); // which costs something itself
    await refused(t, call(':1.1'), 'LimitsExceeded');
    for (const name of driver.known.keys()) callers.leave(name);
  },
);

test.serial("signals about other users' actions do not keep a caller from calling", async (t) => {
  const { driver, callers, run } = setUp();
  driver.known.set(':1.1', uidOf(0));
  t.is(await run(':1.1', () => Promise.resolve('served')), 'served');
  callers.chargeSignal(':1.1', 1 << 30);
  t.deepEqual([...callers.known()], []);
  t.true(callers.mayReceive(':1.1'));
  t.is(await run(':1.1', () => Promise.resolve('served')), 'served');
  callers.leave(':1.1');
});

test.serial('uids that can all belong to one user share the limits of one', async (t) => {
  const borrowed = { has: (uid: number) => uid >= 100_000 } as SubordinateUids;
  const driver = new FakeDriver();
  const callers = new Callers(
    driver as unknown as BusDriver,
    { ...CALLER_LIMITS, callsPerUser: 2 },
    undefined,
    borrowed,
  );
  for (const uid of [100_000, 100_001, 100_002, 1000]) driver.known.set(`:${uid}`, uidOf(uid));
  const waiting = [100_000, 100_001].map((uid) => callers.run(`:${uid}`, 100, hang));
  await soon();
  await refused(t, callers.run(':100002', 100, hang), 'LimitsExceeded');
  t.is(await callers.run(':1000', 100, () => Promise.resolve('served')), 'served');
  t.is(waiting.length, 2);
  for (const name of driver.known.keys()) callers.leave(name);
});

test.serial('of one user, and of all, the connections that have not called for longest are forgotten', async (t) => {
  const { driver, callers, ...world } = setUp({ namesPerUser: 2, names: 3 });
  const before = pidfds();
  const run = async (name: string, uid: number): Promise<void> => {
    driver.known.set(name, uidOf(uid));
    await world.run(name, () => Promise.resolve());
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
