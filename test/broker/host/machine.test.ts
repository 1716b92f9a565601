import test from 'ava';
import { parseCpuList, readMachine } from '#dist/broker/host/machine.js';

test('cpu lists of sysfs are understood', (t) => {
  t.deepEqual(parseCpuList('0-2,5\n'), [0, 1, 2, 5]);
  t.deepEqual(parseCpuList('0\n'), [0]);
  t.deepEqual(parseCpuList('\n'), []);
});

test('the machine has cpus and the software PMU', (t) => {
  const machine = readMachine();
  t.true(machine.onlineCpus.length > 0);
  t.is(machine.pmus.get('software'), 1);
});
