/** Cost of late sessions for their user. */
import test from 'ava';
import { NO_OWNER, type LockScope } from '#dist/broker/ipc/lock_scope.js';
import { LateSessions, MAX_LATE_PER_OWNER } from '#dist/broker/ipc/late_sessions.js';

function ofProcess(owner: number, pid: number): LockScope {
  return { targets: [`process ${pid}`], owner };
}

/** With a session for each of these. */
function late(most: number, scopes: readonly LockScope[]): LateSessions<number> {
  const sessions = new LateSessions<number>(most);
  for (const [session, scope] of scopes.entries()) sessions.add(session, scope);
  return sessions;
}

test('without late sessions nothing is refused', (t) => {
  t.is(late(1, []).refusal([ofProcess(1, 1)]), null);
  t.is(late(1, []).refusal([]), null);
});

test('one target of many is enough to be refused', (t) => {
  const sessions = late(8, [ofProcess(1, 10), ofProcess(2, 20)]);
  t.is(sessions.refusal([ofProcess(1, 11), ofProcess(2, 21)]), null);
  t.is(
    sessions.refusal([ofProcess(1, 11), ofProcess(2, 20)]),
    'an earlier request about process 20 has not been finished',
  );
});

test('late sessions about targets of several owners are counted for each owner', (t) => {
  const scopes = Array.from({ length: 2 * MAX_LATE_PER_OWNER - 1 }, (_, pid) => ofProcess(pid % 2, pid));
  const sessions = late(8, scopes);
  t.regex(
    sessions.refusal([ofProcess(0, 100)]) ?? '',
    /^4 earlier requests about processes of the user of process 100 /,
  );
  t.is(sessions.refusal([ofProcess(1, 100)]), null);
});

test('cpus count together, as if they had one owner', (t) => {
  const cpu = (number: number): LockScope => ({ targets: [`cpu ${number}`], owner: NO_OWNER });
  const sessions = late(8, [cpu(0), cpu(1), cpu(2), cpu(3)]);
  t.is(sessions.refusal([cpu(4)]), '4 earlier requests about cpus have not been finished');
  t.is(sessions.refusal([ofProcess(1, 1)]), null);
});

test('too many late sessions refuse even a request about no target, and a session that has ended does not count', (t) => {
  const sessions = late(2, [ofProcess(1, 10), ofProcess(2, 20)]);
  t.is(sessions.refusal([]), '2 earlier requests of this user have not been finished');
  sessions.delete(1);
  sessions.delete(1);
  t.is(sessions.size, 1);
  t.is(sessions.refusal([ofProcess(2, 20)]), null);
});
