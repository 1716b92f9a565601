import test from 'ava';
import { GrantWatch } from '#dist/collector/session/grant_watch.js';

test('a lease that is over ends the grant', async (t) => {
  using watch = new GrantWatch({ leaseSeconds: 0.01, isConnected: () => true, isLive: () => Promise.resolve(true) }, [
    { system: true },
  ]);
  t.is(await watch.ended, 'lease');
});

test('a grant that the broker no longer has was revoked, and a live one was not', async (t) => {
  for (const live of [true, false]) {
    using watch = new GrantWatch({ leaseSeconds: 0, isConnected: () => true, isLive: () => Promise.resolve(live) }, [
      { system: true },
    ]);
    t.is(await watch.wasRevoked(), !live);
  }
});

test('a broker that does not answer has not revoked anything', async (t) => {
  using watch = new GrantWatch(
    { leaseSeconds: 0, isConnected: () => true, isLive: () => new Promise(() => undefined) },
    [{ system: true }],
  );
  t.false(await watch.wasRevoked());
});

test('a broker that is gone when it is asked was lost since it was last seen', async (t) => {
  let connected = true;
  const grant = { leaseSeconds: 0, isConnected: () => connected, isLive: () => Promise.resolve(true) };
  using watch = new GrantWatch(grant, [{ system: true }]);
  t.is(await watch.lossOfBroker(), undefined);
  connected = false;
  const { after, before } = (await watch.lossOfBroker())!;
  t.true(after >= 0 && before >= after);
  connected = true;
  t.deepEqual(await watch.lossOfBroker(), { after, before }, 'another connection would not bring the grant back');
});
