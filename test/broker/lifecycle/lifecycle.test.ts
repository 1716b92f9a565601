import test from 'ava';
import { idleSeconds, problemsOf } from '#dist/broker/lifecycle/lifecycle.js';
import { PolicyError } from '#dist/policy/error.js';

function service(idleExitSeconds: number, burst: number, requestsPerSecond: number): Parameters<typeof idleSeconds>[0] {
  return { service: { idleExitSeconds, burst, requestsPerSecond, connections: 1 } };
}

test('an idle broker stays until every user could have its full burst again', (t) => {
  t.is(idleSeconds(service(60, 100, 50)), 60);
  t.is(idleSeconds(service(1, 100, 50)), 2, 'a new broker would forget what was used of the burst');
});

test('a broker without an idle time never ends by itself', (t) => {
  t.is(idleSeconds(service(0, 100, 50)), 0);
});

test('the problems of a policy are reported with their place, and any other error as it is', (t) => {
  const problem = { file: 'policy.toml', line: 3, message: 'there is no class x', remedy: 'choose another' };
  t.deepEqual(problemsOf(new Error('EACCES')), ['EACCES']);
  t.regex(problemsOf(new PolicyError(problem)).join(), /policy\.toml.*there is no class x/);
});

test('the end of the broker gives no user a new burst before the old one is refilled', (t) => {
  const service = { requestsPerSecond: 10, burst: 600, connections: 64, idleExitSeconds: 2 };
  t.is(idleSeconds({ service }), 60);
  t.is(idleSeconds({ service: { ...service, idleExitSeconds: 90 } }), 90);
  t.is(idleSeconds({ service: { ...service, idleExitSeconds: 0 } }), 0, 'never');
});
