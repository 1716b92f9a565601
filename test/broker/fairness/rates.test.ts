import test from 'ava';
import { Rates } from '#dist/broker/fairness/rates.js';
import { SHARED_USER } from '#dist/model/identity/subordinate_uids.js';

const LENT = 100_000;
const SUBORDINATE = { userOf: ({ uid }: { readonly uid: number }): number => (uid >= LENT ? SHARED_USER : uid) };
const LIMITS = { requestsPerSecond: 500, burst: 10 };

test('a token pays for a tenth of the main thread at the rate of the policy, within bounds', (t) => {
  for (const [requestsPerSecond, tokenMs] of [
    [1, 2],
    [100, 1],
    [500, 0.2],
    [1_000_000, 0.2],
  ] as const) {
    t.is(new Rates({ requestsPerSecond, burst: 10 }, SUBORDINATE, 1).tokenMs, tokenMs);
    t.is(new Rates({ requestsPerSecond, burst: 10 }, SUBORDINATE, 30).tokenMs, 30 * tokenMs, 'on a slow machine');
  }
});

test('subordinate uids share one rate', (t) => {
  const rates = new Rates(LIMITS, SUBORDINATE, 1, () => 0);
  t.true(rates.take(LENT, 6));
  t.false(rates.take(LENT + 1, 6));
  t.true(rates.take(LENT - 1, 6));
});

test('time that no token has paid for is charged, and its user owes it', (t) => {
  const clock = { now: 0 };
  const rates = new Rates(LIMITS, SUBORDINATE, 1, () => clock.now);
  rates.chargeMs(7, 1);
  t.false(rates.indebted, '5 tokens of 10');
  t.false(rates.take(7, 6));
  t.true(rates.take(7, 5));
  rates.chargeMs(7, 1);
  t.true(rates.indebted);
  clock.now = 20;
  t.false(rates.indebted, '10 ms pay for 5 tokens');
});

test('new limits begin with a full burst, and a new price of time', (t) => {
  const rates = new Rates(LIMITS, SUBORDINATE, 3, () => 0);
  t.true(rates.take(7, 10));
  rates.replaceLimits({ requestsPerSecond: 100, burst: 20 });
  t.is(rates.tokenMs, 3);
  t.true(rates.take(7, 20));
  t.false(rates.take(7));
});
