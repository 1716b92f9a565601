import test from 'ava';
import { pmuType, sysfsPmus } from '#dist/collector/host/pmu_sysfs.js';

test('a PMU that does not exist has no files and no number', (t) => {
  t.is(sysfsPmus.read('nosuchpmu/type'), undefined);
  t.deepEqual(sysfsPmus.list('nosuchpmu/format'), []);
  t.throws(() => pmuType('nosuchpmu'), { code: 'ENOENT' });
});

test('the software PMU has the number that the kernel defines', (t) => {
  // PERF_TYPE_SOFTWARE, include/uapi/linux/perf_event.h
  if (sysfsPmus.list('').includes('software')) t.is(pmuType('software'), 1);
  else t.pass('skipped: sysfs has no PMUs here');
});
