import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

test('a list of cpus that does not come from sysfs is completed from /proc', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-cpus-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const files = { online: join(directory, 'online'), stat: join(directory, 'stat'), status: join(directory, 'status') };
  t.true(onlineCpus(files).length >= 1, 'without any file');
  writeFileSync(files.online, '0\n');
  writeFileSync(files.status, 'Name:\tx\nCpus_allowed:\t70\nCpus_allowed_list:\t4-6\n');
  t.deepEqual(onlineCpus(files), [0, 4, 5, 6]);
  writeFileSync(files.stat, 'cpu  1 2\ncpu0 1 2\ncpu11 1 2\nintr 5\n');
  t.deepEqual(onlineCpus(files), [0, 4, 5, 6, 11]);
  rmSync(files.online);
  rmSync(files.status);
  t.deepEqual(onlineCpus(files), [0, 11]);
});
