import test from 'ava';
import { MAX_PREMAPPED_PER_USER, PremapLimit } from '#dist/broker/grants/premap_limit.js';
import { QuotaReservation } from '#dist/broker/grants/reservation.js';
import { Quota } from '#dist/policy/quota/quota.js';
import type { Limits } from '#dist/policy/types.js';

const UID = 1000;
const RING = 4096;
const LIMITS = { grants: 2, fds: 10, ringBytes: 4 * RING } as Limits;
const NOTHING = { grants: 0, fds: 0, ringBytes: 0 };

function setUp(): { quota: Quota; premapLimit: PremapLimit; reserve: () => QuotaReservation } {
  const quotas = { quota: new Quota(), premapLimit: new PremapLimit() };
  return { ...quotas, reserve: () => new QuotaReservation(quotas, UID, LIMITS, RING) };
}

test('a grant is reserved with its fds and rings, and grows by the missing ones', (t) => {
  const { quota, reserve } = setUp();
  const reservation = reserve();
  t.deepEqual(quota.usage(UID), NOTHING);
  reservation.reserveGrant({ fds: 3, rings: 1 });
  t.deepEqual(quota.usage(UID), { grants: 1, fds: 3, ringBytes: RING });
  reservation.growTo({ fds: 5, rings: 1 });
  reservation.growTo({ fds: 4, rings: 2 });
  t.deepEqual(quota.usage(UID), { grants: 1, fds: 5, ringBytes: 2 * RING });
  t.is(reservation.ringBytes, 2 * RING);
});

test('a reservation that cannot grow stays as it was, and release returns all of it', async (t) => {
  const { quota, reserve } = setUp();
  const reservation = reserve();
  reservation.reserveGrant({ fds: 3, rings: 1 });
  t.like(
    t.throws(() => reservation.growTo({ fds: 11, rings: 1 })),
    { error: 'QuotaExceeded', code: 'fds' },
  );
  t.like(
    t.throws(() => reservation.growTo({ fds: 3, rings: 5 })),
    { error: 'QuotaExceeded', code: 'ring-bytes' },
  );
  t.deepEqual(quota.usage(UID), { grants: 1, fds: 3, ringBytes: RING });
  reservation.release();
  await new Promise((resolve) => setImmediate(resolve));
  t.deepEqual(quota.usage(UID), NOTHING);
});

test('a reservation that fails at its first step returns all of it', async (t) => {
  const { quota, premapLimit, reserve } = setUp();
  reserve().reserveGrant({ fds: 1, rings: 0 });
  reserve().reserveGrant({ fds: 1, rings: 0 });
  const third = reserve();
  t.like(
    t.throws(() => third.reserveGrant({ fds: 1, rings: 1 })),
    { error: 'QuotaExceeded', code: 'grants' },
  );
  third.release();
  await new Promise((resolve) => setImmediate(resolve));
  t.deepEqual(quota.usage(UID), { grants: 2, fds: 2, ringBytes: 0 });
  t.notThrows(() => premapLimit.acquire(UID, MAX_PREMAPPED_PER_USER));
});

test('rings count against their owner until they are gone', async (t) => {
  const { quota, premapLimit, reserve } = setUp();
  const reservation = reserve();
  reservation.reserveGrant({ fds: 2, rings: 2 });
  let unmapped = (): void => undefined;
  reservation.awaitRings(new Promise((resolve) => (unmapped = resolve)));
  reservation.release();
  await new Promise((resolve) => setImmediate(resolve));
  t.deepEqual(quota.usage(UID), { grants: 0, fds: 0, ringBytes: 2 * RING });
  t.notThrows(() => premapLimit.acquire(UID, MAX_PREMAPPED_PER_USER), 'the opener has been told to unmap them');
  unmapped();
  await new Promise((resolve) => setImmediate(resolve));
  t.deepEqual(quota.usage(UID), NOTHING);
});
