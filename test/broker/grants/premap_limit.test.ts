import test from 'ava';
import { MAX_PREMAPPED_PER_USER, PremapLimit } from '#dist/broker/grants/premap_limit.js';

test('the premapped rings of a user are limited, and other users do not count', (t) => {
  const limit = new PremapLimit();
  limit.acquire(1, MAX_PREMAPPED_PER_USER - 1);
  limit.acquire(1, 1);
  t.like(
    t.throws(() => limit.acquire(1, 1)),
    { error: 'QuotaExceeded', code: 'rings' },
  );
  t.notThrows(() => limit.acquire(2, MAX_PREMAPPED_PER_USER));
});

test('a refused request takes nothing, and released rings can be reserved again', (t) => {
  const limit = new PremapLimit();
  limit.acquire(1, 1000);
  t.throws(() => limit.acquire(1, 100));
  limit.acquire(1, 24);
  limit.release(1, 1024);
  t.notThrows(() => limit.acquire(1, MAX_PREMAPPED_PER_USER));
});
