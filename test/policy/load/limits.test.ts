import test from 'ava';
import { BUILT_IN_LIMITS, describeLimits, LIMIT_KEYS } from '#dist/policy/load/limits.js';

test('every limit has a key, and its built-in value is one that a file may have', (t) => {
  const fields = Object.values(LIMIT_KEYS).map(({ field }) => field);
  t.deepEqual([...fields].sort(), Object.keys(BUILT_IN_LIMITS).sort());
  for (const { field, minimum, maximum } of Object.values(LIMIT_KEYS)) {
    t.true(BUILT_IN_LIMITS[field] >= minimum && BUILT_IN_LIMITS[field] <= maximum, field);
  }
});

test('limits are described as they are written', (t) => {
  t.is(
    describeLimits(BUILT_IN_LIMITS),
    '4,000 Hz, min_period 1, ring 32 MiB, fds 4,096, grants 16, lease 12 h, stack 65528 B',
  );
});
