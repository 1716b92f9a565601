import test from 'ava';
import { onlineCpus, parseCpuList, possibleCpuCount } from '#dist/common/cpus.js';

test('cpu lists of the kernel are parsed, and anything else is rejected', (t) => {
  t.deepEqual(parseCpuList('0-2,8,1\n'), [0, 1, 2, 8]);
  for (const text of ['', 'a', '3-1', '1-', '-1', '0-99999', '1,,2'])
    t.throws(() => parseCpuList(text), { instanceOf: RangeError });
});

test('at least one cpu is online, and no more than are possible', (t) => {
  t.true(onlineCpus().length >= 1);
  t.true(possibleCpuCount() >= onlineCpus().length);
});
