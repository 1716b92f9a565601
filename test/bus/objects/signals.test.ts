import test from 'ava';
import type dbus from 'dbus-next';
import type { Caller, Callers } from '#dist/bus/callers/callers.js';
import type { GrantList } from '#dist/bus/objects/grant_list.js';
import type { GrantChange } from '#dist/bus/objects/grant_watch.js';
import { announce } from '#dist/bus/objects/signals.js';

const GRANT = {
  id: 'aa00',
  uid: 1000,
  pid: 42,
  executable: '/x',
  targets: [],
  events: 1,
  fds: 2,
  ringBytes: 0,
  rule: 'own',
  ageSeconds: 0,
  leaseSeconds: 0,
};
const PATH = '/org/perfbroker/Broker1/grants/aa00';

/** Announces a change to these callers. @returns receiver, name and body of each signal */
async function signals(
  callers: readonly (readonly [name: string, uid: number, gone?: boolean])[],
  change: Partial<GrantChange>,
  administrator = true,
): Promise<readonly (readonly [string | undefined, string | undefined, readonly unknown[]])[]> {
  const sent: dbus.Message[] = [];
  const known = callers.map(([name, uid, gone = false]): Caller => {
    const controller = new AbortController();
    if (gone) controller.abort();
    return { name, uid, pidfd: 0, gone: controller.signal };
  });
  announce(
    { send: (message: dbus.Message) => sent.push(message) } as unknown as dbus.MessageBus,
    { known: () => known } as unknown as Callers,
    { isAdministrator: () => Promise.resolve(administrator) } as unknown as GrantList,
    { change: 'added', grant: GRANT, reason: '', ...change },
  );
  await new Promise((resolve) => setImmediate(resolve));
  return sent.map(({ destination, member, body }) => [destination, member, body as unknown[]]);
}

test('a grant that begins is announced as an object, then by its id', async (t) => {
  const sent = await signals([[':1.1', 1000]], {});
  t.deepEqual(
    sent.map(([to, member]) => [to, member]),
    [
      [':1.1', 'InterfacesAdded'],
      [':1.1', 'GrantAdded'],
    ],
  );
  t.deepEqual(sent[1]?.[2], [PATH, 'aa00']);
  t.is(sent[0]?.[2][0], PATH);
});

test('a grant that ends is announced with the reason, before its object ends', async (t) => {
  t.deepEqual(await signals([[':1.1', 1000]], { change: 'removed', reason: 'lease' }), [
    [':1.1', 'GrantRemoved', [PATH, 'aa00', 'lease']],
    [':1.1', 'InterfacesRemoved', [PATH, ['org.perfbroker.Grant1']]],
  ]);
});

test('every signal has one receiver: its user, or root that is an administrator and still there', async (t) => {
  const callers = [
    [':1.1', 1000],
    [':1.2', 1001],
    [':1.3', 0],
    [':1.4', 0, true],
  ] as const;
  const receivers = async (administrator: boolean): Promise<unknown[]> =>
    (await signals(callers, {}, administrator)).map(([to]) => to);
  t.deepEqual(await receivers(true), [':1.1', ':1.1', ':1.3', ':1.3']);
  t.deepEqual(await receivers(false), [':1.1', ':1.1']);
});
