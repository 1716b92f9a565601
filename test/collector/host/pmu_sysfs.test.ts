import test from 'ava';
import { pmuType, sysfsPmus } from '#dist/collector/host/pmu_sysfs.js';

test('a PMU that does not exist has no files and no number', (t) => {
  t.is(sysfsPmus.read('nosuchpmu/type'), undefined);
  t.deepEqual(sysfsPmus.list('nosuchpmu/format'), []);
  t.throws(() => pmuType('nosuchpmu'), { code: 'ENOENT' });
});

test('the number of each PMU is what sysfs has', (t) => {
  const names = sysfsPmus.list('');
  for (const name of names) t.is(pmuType(name), Number(sysfsPmus.read(`${name}/type`)));
  t.pass(`${names.length} PMUs`);
});
