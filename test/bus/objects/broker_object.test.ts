import test from 'ava';
import dbus from 'dbus-next';
import type { BrokerCalls } from '#dist/bus/broker/broker_calls.js';
import type { Caller } from '#dist/bus/callers/callers.js';
import { BrokerObject } from '#dist/bus/objects/broker_object.js';
import type { GrantList } from '#dist/bus/objects/grant_list.js';
import { CallError } from '#dist/bus/dbus_error.js';

const CALLER: Caller = { name: ':1.1', uid: 1000, pidfd: 0, gone: new AbortController().signal };
const DECISION = { verdict: 'allow', rule: 'own', classes: ['user'], reasons: [] };
const DESCRIPTION = {
  version: '9',
  kernel: '6',
  paranoid: 3,
  capability: 'CAP_PERFMON',
  ceiling: ['user'],
  policy: ['/p'],
  maxSampleRate: 1,
  tracepoints: 7,
};
const v = (signature: string, value: unknown): dbus.Variant<unknown> => new dbus.Variant(signature, value);
const TARGET = { kind: v('s', 'process'), pid: v('u', 42) };
const EVENT = { source: v('a{sv}', { kind: v('s', 'software'), name: v('s', 'task-clock') }) };

interface World {
  /** Method and parameters of each call of the broker. */
  readonly calls: unknown[];
  readonly properties: () => Promise<object>;
  readonly run: (method: string, body: readonly unknown[], allowInteractive?: boolean) => Promise<readonly unknown[]>;
}

function open(own: () => Promise<object> = () => Promise.resolve(DESCRIPTION)): World {
  const calls: unknown[] = [];
  const broker = {
    own: (method: string) => {
      calls.push(method);
      return own();
    },
    onBehalf: (_caller: Caller, method: string, parameters: object) => {
      calls.push([method, parameters]);
      return Promise.resolve({ ticket: 'T', expiresSeconds: 30, decision: DECISION });
    },
  };
  const grants = { visibleTo: () => Promise.resolve([{}, {}]) };
  const object = new BrokerObject(broker as unknown as BrokerCalls, grants as unknown as GrantList);
  const { methods, properties } = object.interfaces['org.perfbroker.Broker1']!;
  return {
    calls,
    properties: () => properties(CALLER),
    run: (method, body, allowInteractive = false) => methods[method]!.run({ caller: CALLER, body, allowInteractive }),
  };
}

test('Open prepares a ticket with the caller’s targets, events and options', async (t) => {
  const { calls, run } = open();
  const [ticket, expires, decision] = await run('Open', [[TARGET], [EVENT], { leaseSeconds: v('u', 5) }], true);
  t.deepEqual([ticket, expires], ['T', 30]);
  t.like(decision, { verdict: { value: 'allow' }, rule: { value: 'own' } });
  t.like(calls, [
    [
      'PrepareOpen',
      {
        targets: [{ kind: 'process', pid: 42 }],
        events: [{ source: { kind: 'software', name: 'task-clock' } }],
        leaseSeconds: 5,
        allowInteractive: true,
      },
    ],
  ] as never);
});

test('an option cannot take the place of another argument, the sender or an fd', async (t) => {
  const { calls, run } = open();
  for (const [body, message] of [
    [[[TARGET], [EVENT], { sender: v('u', 0) }], /sender is not an option/],
    [[[TARGET], [EVENT], { targets: v('u', 0) }], /targets is not an option/],
    [[[{ kind: v('s', 'process'), pidfd: v('u', 0) }], [EVENT], {}], /targets\[0\]\.pidfd: fds are not accepted/],
    [[[{ kind: v('s', 'cgroup'), directory: v('u', 0) }], [EVENT], {}], /directory: fds are not accepted/],
  ] as const)
    await t.throwsAsync(run('Open', body), { instanceOf: CallError, message });
  await t.throwsAsync(run('Downgrade', [TARGET, ['CAP_PERFMON'], { drop: v('u', 0) }]), { message: /drop is not/ });
  t.deepEqual(calls, []);
});

test('a parameter of a wrong type is refused by name before the broker is called', async (t) => {
  const { calls, run } = open();
  await t.throwsAsync(run('Open', [[TARGET], [EVENT], { leaseSeconds: v('s', 'x') }]), { message: /leaseSeconds/ });
  t.deepEqual(calls, []);
});

test('properties are read one by one with one call of the broker, and a failure is not kept', async (t) => {
  let fails = true;
  const { calls, properties } = open(() => (fails ? Promise.reject(new Error('gone')) : Promise.resolve(DESCRIPTION)));
  await t.throwsAsync(properties(), { message: 'gone' });
  fails = false;
  const first = await properties();
  t.like(first, { Version: { value: '9' }, Tracepoints: { value: 7 }, Grants: { value: 2 } });
  t.deepEqual(await properties(), first);
  t.true(calls.length >= 2);
});
