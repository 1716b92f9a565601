import test from 'ava';
import fc from 'fast-check';
import { exceededLimits } from '#dist/policy/decide/limit_check.js';
import { BUILT_IN_LIMITS } from '#dist/policy/load/limits.js';
import { event, request } from '../fixtures.js';

test('a request within its limits exceeds none', (t) => {
  t.deepEqual(exceededLimits(request(), BUILT_IN_LIMITS, 'own'), []);
});

test('any period of a clock is held to any frequency limit', (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1_000_000 }),
      fc.bigInt({ min: 1n, max: 10n ** 10n }),
      (frequency, period) => {
        const asks = request({ events: [event({ sampling: { period } })] });
        const exceeded = exceededLimits(asks, { ...BUILT_IN_LIMITS, frequency }, 'own').length > 0;
        t.is(exceeded, period * BigInt(frequency) < 10n ** 9n);
      },
    ),
  );
});

test('NaN exceeds every limit', (t) => {
  const reasons = exceededLimits(request({ fds: NaN, ringBytes: NaN, leaseSeconds: NaN }), BUILT_IN_LIMITS, 'own');
  t.deepEqual(
    reasons.map(({ code }) => code),
    ['limit', 'limit', 'limit'],
  );
});
