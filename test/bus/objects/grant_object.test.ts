import test from 'ava';
import type { BrokerCalls } from '#dist/bus/broker/broker_calls.js';
import type { Caller } from '#dist/bus/callers/callers.js';
import { GRANT_INTERFACE, grantObject, grantPath, grantProperties } from '#dist/bus/objects/grant_object.js';
import type { Grant } from '#dist/interfaces/broker_types.js';

const GRANT: Grant = {
  id: 'aa00',
  uid: 1000,
  pid: 42,
  executable: '/usr/bin/app',
  targets: ['process 42'],
  events: 1,
  fds: 2,
  ringBytes: 2 ** 33,
  rule: 'own',
  ageSeconds: 3.9,
  leaseSeconds: 60,
};

test('a grant is an object whose properties have the types of the interface', (t) => {
  t.is(grantPath(GRANT), '/org/perfbroker/Broker1/grants/aa00');
  const values = Object.entries(grantProperties(GRANT)).map(([name, { signature, value }]) => [name, signature, value]);
  t.deepEqual(values, [
    ['Id', 's', 'aa00'],
    ['Uid', 'u', 1000],
    ['Pid', 'u', 42],
    ['Executable', 's', '/usr/bin/app'],
    ['Targets', 'as', ['process 42']],
    ['Events', 'u', 1],
    ['Fds', 'u', 2],
    ['RingBytes', 't', 2n ** 33n],
    ['Rule', 's', 'own'],
    ['AgeSeconds', 't', 3n],
    ['LeaseSeconds', 't', 60n],
  ]);
});

test('an object names the properties that it has, and revokes its own grant for its caller', async (t) => {
  const calls: unknown[] = [];
  const onBehalf = (caller: Caller, method: string, parameters: object): Promise<object> => {
    calls.push([caller.uid, method, parameters]);
    return Promise.resolve({ fds: 2, disabled: 1, kept: 'the fds' });
  };
  const object = grantObject(GRANT, { onBehalf } as unknown as BrokerCalls).interfaces[GRANT_INTERFACE]!;
  const caller: Caller = { name: ':1.1', uid: 1000, pidfd: 0, gone: new AbortController().signal };
  t.deepEqual(object.propertyNames, Object.keys(await object.properties(caller)));
  const reply = await object.methods['Revoke']!.run({ caller, body: [{}], allowInteractive: true });
  t.deepEqual(reply, [2, 1, 'the fds']);
  t.deepEqual(calls, [[1000, 'Revoke', { grant: 'aa00', allowInteractive: true }]]);
  await t.throwsAsync(object.methods['Revoke']!.run({ caller, body: [{ grant: 'bb00' }], allowInteractive: false }), {
    message: /grant is not an option/,
  });
});
