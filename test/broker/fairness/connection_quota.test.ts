import test from 'ava';
import { ConnectionQuota, MAX_CONNECTIONS } from '#dist/broker/fairness/connection_quota.js';

const REFUSED = { error: 'QuotaExceeded', code: 'connections' };

test('a user has as many connections as its limit allows, and a released one makes room', (t) => {
  const quota = new ConnectionQuota();
  t.false(quota.inUse);
  const first = quota.acquire(1, 2);
  quota.acquire(1, 2);
  t.like(
    t.throws(() => quota.acquire(1, 2)),
    REFUSED,
  );
  const other = quota.acquire(2, 2);
  t.true(quota.inUse);
  first.release();
  t.notThrows(() => quota.acquire(1, 2));
  other.release();
});

test('all users together have a limit', (t) => {
  const quota = new ConnectionQuota();
  for (let uid = 0; uid < MAX_CONNECTIONS; uid++) quota.acquire(uid, 1);
  t.like(
    t.throws(() => quota.acquire(MAX_CONNECTIONS, 1)),
    REFUSED,
  );
});

test('clients with any number of uids share a limit, each connection counts once, and a refused one does not', (t) => {
  const quota = new ConnectionQuota();
  const permits = Array.from({ length: 256 }, (_, uid) => quota.acquire(uid, 1));
  for (const permit of permits) {
    permit.countAsShared();
    permit.countAsShared();
  }
  const late = quota.acquire(1000, 1);
  t.like(
    t.throws(() => late.countAsShared()),
    REFUSED,
  );
  late.release();
  permits[0]!.release();
  t.notThrows(() => quota.acquire(1001, 1).countAsShared());
});

test('when every connection is released nothing is in use, and the fds in flight of a user are common to its connections', (t) => {
  const quota = new ConnectionQuota();
  const permits = [quota.acquire(1, 2), quota.acquire(1, 2)];
  t.is(permits[0]!.inFlight, permits[1]!.inFlight);
  for (const permit of permits) permit.release();
  t.false(quota.inUse);
});
