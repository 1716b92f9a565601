import test from 'ava';
import { idleSeconds } from '#dist/broker/lifecycle/lifecycle.js';

test('the end of the broker gives no user a new burst before the old one is refilled', (t) => {
  const service = { requestsPerSecond: 10, burst: 600, connections: 64, idleExitSeconds: 2 };
  t.is(idleSeconds({ service }), 60);
  t.is(idleSeconds({ service: { ...service, idleExitSeconds: 90 } }), 90);
  t.is(idleSeconds({ service: { ...service, idleExitSeconds: 0 } }), 0, 'never');
});
