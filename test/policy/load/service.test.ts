import test from 'ava';
import { BUILT_IN_SERVICE, SERVICE_KEYS } from '#dist/policy/load/service.js';

test('every limit of the service has a key, and its built-in value is one that a file may have', (t) => {
  const fields = Object.values(SERVICE_KEYS).map(({ field }) => field);
  t.deepEqual([...fields].sort(), Object.keys(BUILT_IN_SERVICE).sort());
  for (const { field, minimum, maximum } of Object.values(SERVICE_KEYS)) {
    t.true(BUILT_IN_SERVICE[field] >= minimum && BUILT_IN_SERVICE[field] <= maximum, field);
  }
});
