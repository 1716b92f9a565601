import test from 'ava';
import fc from 'fast-check';
import { Quota } from '#dist/policy/quota/quota.js';

const LIMITS = { grants: 2, fds: 10, ringBytes: 4096 };

test('a user may reserve up to each limit, and not one more', (t) => {
  const quota = new Quota();
  t.true(quota.reserve(1, { grants: 1, fds: 10, ringBytes: 4096 }, LIMITS).ok);
  t.like(quota.reserve(1, { grants: 1, fds: 1, ringBytes: 0 }, LIMITS), {
    ok: false,
    code: 'fds',
    asked: 1,
    used: 10,
    allowed: 10,
  });
  t.like(quota.reserve(1, { grants: 1, fds: 0, ringBytes: 1 }, LIMITS), { ok: false, code: 'ring-bytes' });
  t.true(quota.reserve(1, { grants: 1, fds: 0, ringBytes: 0 }, LIMITS).ok);
  t.like(quota.reserve(1, { grants: 1, fds: 0, ringBytes: 0 }, LIMITS), {
    ok: false,
    code: 'grants',
    text: 'uid 1 holds 2 grants; 1 more would exceed 2',
  });
});

test('a refused reservation takes nothing, of no kind', (t) => {
  const quota = new Quota();
  t.false(quota.reserve(1, { grants: 1, fds: 11, ringBytes: 1 }, LIMITS).ok);
  t.deepEqual(quota.usage(1), { grants: 0, fds: 0, ringBytes: 0 });
  t.is(quota.size, 0);
});

test('one user does not use up the share of another', (t) => {
  const quota = new Quota();
  t.true(quota.reserve(1, { grants: 2, fds: 10, ringBytes: 4096 }, LIMITS).ok);
  t.true(quota.reserve(2, { grants: 2, fds: 10, ringBytes: 4096 }, LIMITS).ok);
});

test('a release takes effect once, however often it is called, and works without a receiver', (t) => {
  const quota = new Quota();
  const first = quota.reserve(1, { grants: 1, fds: 5, ringBytes: 0 }, LIMITS);
  t.true(quota.reserve(1, { grants: 1, fds: 5, ringBytes: 0 }, LIMITS).ok);
  if (!first.ok) return t.fail();
  const { release } = first;
  release();
  release();
  return t.deepEqual(quota.usage(1), { grants: 1, fds: 5, ringBytes: 0 });
});

test('after a reload lowers the limits, a request that needs nothing more is still possible', (t) => {
  const quota = new Quota();
  t.true(quota.reserve(1, { grants: 1, fds: 10, ringBytes: 0 }, LIMITS).ok);
  const lower = { grants: 2, fds: 5, ringBytes: 0 };
  t.true(quota.reserve(1, { grants: 1, fds: 0, ringBytes: 0 }, lower).ok);
  t.false(quota.reserve(1, { grants: 0, fds: 1, ringBytes: 0 }, lower).ok);
});

for (const bad of [-1, 0.5, NaN, Infinity]) {
  test(`an amount of ${bad} is a bug and thrown as one`, (t) => {
    t.throws(() => new Quota().reserve(1, { grants: 1, fds: bad, ringBytes: 0 }, LIMITS), { instanceOf: RangeError });
  });
}

test('usage is the sum of all reservations, never above the limits, and a user without any leaves no entry', (t) => {
  const amounts = fc.record({ grants: fc.nat(2), fds: fc.nat(12), ringBytes: fc.nat(5000) });
  const steps = fc.array(fc.oneof(fc.record({ uid: fc.nat(2), amounts }), fc.record({ release: fc.nat(20) })), {
    maxLength: 40,
  });
  fc.assert(
    fc.property(steps, (list) => {
      const quota = new Quota();
      const held: { uid: number; fds: number; release: () => void }[] = [];
      for (const step of list) {
        if ('release' in step) {
          held.splice(step.release % Math.max(1, held.length), 1)[0]?.release();
        } else {
          const result = quota.reserve(step.uid, step.amounts, LIMITS);
          if (result.ok) held.push({ uid: step.uid, fds: step.amounts.fds, release: result.release });
        }
        for (const uid of [0, 1, 2]) {
          const sum = held.filter((one) => one.uid === uid).reduce((total, one) => total + one.fds, 0);
          t.is(quota.usage(uid).fds, sum);
          t.true(
            sum <= LIMITS.fds &&
              quota.usage(uid).grants <= LIMITS.grants &&
              quota.usage(uid).ringBytes <= LIMITS.ringBytes,
          );
        }
      }
      for (const { release } of held) release();
      t.is(quota.size, 0);
    }),
  );
});
