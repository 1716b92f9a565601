/** The subjects of requests to the helper processes. */
import test from 'ava';
import { NO_OWNER } from '#dist/broker/ipc/lock_scope.js';
import { lockScopeOf } from '#dist/broker/processes/lock_scope.js';
import type { PinnedTarget } from '#dist/broker/processes/targets.js';
import type { Fd } from '#dist/native.js';

const FD = 0 as Fd;
/** Users in user namespaces are one; uid 100000 is lent to 1000. */
const users = {
  userOf: ({ uid, sameUserNamespace }: { readonly uid: number; readonly sameUserNamespace: boolean }): number =>
    !sameUserNamespace ? -2 : uid === 100_000 ? 1000 : uid,
};

function process(uids: readonly [number, number, number], sameUserNamespace = true): PinnedTarget {
  const facts = { pid: 10, startTime: 7n, uids, sameUserNamespace };
  return { kind: 'process', fd: FD, tid: 11, process: facts } as unknown as PinnedTarget;
}

test('a process is known by pid and start time, for any thread and any cpus', (t) => {
  const scope = { targets: ['process 10 (start time 7)'], owner: 1000 };
  t.deepEqual(lockScopeOf(process([1000, 1000, 1000]), [-1], users), scope);
  t.deepEqual(lockScopeOf(process([1000, 1000, 1000]), [0, 1], users), scope);
});

test('a process belongs to the user of its real uid', (t) => {
  t.is(lockScopeOf(process([1000, 0, 0]), [], users).owner, 1000, 'it has executed a setuid program');
  t.is(lockScopeOf(process([100_000, 100_000, 100_000]), [], users).owner, 1000);
  t.is(lockScopeOf(process([1000, 1000, 1000], false), [], users).owner, -2);
});

test('events without a task are about their cpus, each once', (t) => {
  const scope = { targets: ['cpu 2', 'cpu 0'], owner: NO_OWNER };
  t.deepEqual(lockScopeOf({ kind: 'system', fd: null }, [2, 2, 0], users), scope);
  t.deepEqual(lockScopeOf({ kind: 'cgroup', fd: FD, path: '/' }, [2, 0, 0], users), scope);
});
