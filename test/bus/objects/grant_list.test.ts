import test from 'ava';
import type { BrokerCalls } from '#dist/bus/broker/broker_calls.js';
import type { Caller } from '#dist/bus/callers/callers.js';
import { GrantList } from '#dist/bus/objects/grant_list.js';
import { brokerError } from '#dist/model/errors/error_table.js';

const GRANTS = [
  { id: 'a', uid: 1000 },
  { id: 'b', uid: 1001 },
];
const callerOf = (uid: number): Caller => ({ name: ':1.1', uid, pidfd: 0, gone: new AbortController().signal });

/** A broker that lists every grant to every caller, or fails. */
function open(): { list: GrantList; calls: object[]; fail: (error: Error | null) => void } {
  const calls: object[] = [];
  let failure: Error | null = null;
  const onBehalf = (_caller: Caller, _method: string, parameters: object): Promise<object> => {
    calls.push(parameters);
    return failure === null ? Promise.resolve({ grants: GRANTS }) : Promise.reject(failure);
  };
  return {
    list: new GrantList({ onBehalf } as unknown as BrokerCalls),
    calls,
    fail: (error) => (failure = error),
  };
}

test('a user sees only own grants, even if the broker sends more', async (t) => {
  const { list, calls } = open();
  t.deepEqual(await list.visibleTo(callerOf(1000)), [GRANTS[0]] as never);
  t.deepEqual(calls, [{}]);
});

test('root sees all grants when the broker takes it for an administrator', async (t) => {
  const { list, calls } = open();
  t.deepEqual(await list.visibleTo(callerOf(0)), GRANTS as never);
  t.deepEqual(calls, [{ all: true }, { all: true }]);
});

test('root that the broker denies is an ordinary user, and is asked for once', async (t) => {
  const { list, calls, fail } = open();
  const root = callerOf(0);
  fail(brokerError('PolicyDenied', 'no-rule', 'x'));
  t.false(await list.isAdministrator(root));
  fail(null);
  t.false(await list.isAdministrator(root));
  t.deepEqual(await list.visibleTo(root), []);
  t.deepEqual(calls, [{ all: true }, {}]);
});

test('a broker that does not reply makes no administrator, and is asked again', async (t) => {
  const { list, fail } = open();
  const root = callerOf(0);
  fail(brokerError('Unavailable', 'not-running', 'x'));
  t.false(await list.isAdministrator(root));
  fail(null);
  t.true(await list.isAdministrator(root));
});

test('another user is never an administrator, and the broker is not asked', async (t) => {
  const { list, calls } = open();
  t.false(await list.isAdministrator(callerOf(1000)));
  t.deepEqual(calls, []);
});
