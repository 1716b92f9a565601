import test from 'ava';
import { GrantWatch } from '#dist/collector/session/grant_watch.js';

test('a lease that is over ends the grant', async (t) => {
  using watch = new GrantWatch({ leaseSeconds: 0.01, isLive: () => Promise.resolve(true) }, [{ system: true }]);
  t.is(await watch.ended, 'lease');
});

test('a grant that the broker no longer has was revoked, and a live one was not', async (t) => {
  for (const live of [true, false]) {
    using watch = new GrantWatch({ leaseSeconds: 0, isLive: () => Promise.resolve(live) }, [{ system: true }]);
    t.is(await watch.wasRevoked(), !live);
  }
});

test('a broker that does not answer has not revoked anything', async (t) => {
  using watch = new GrantWatch({ leaseSeconds: 0, isLive: () => new Promise(() => undefined) }, [{ system: true }]);
  t.false(await watch.wasRevoked());
});
