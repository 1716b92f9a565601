import test from 'ava';
import { threadCpuMs } from '#dist/broker/fairness/cpu_time.js';

test('the time grows with the work of this thread, and is no more than that of the whole process', (t) => {
  const begin = threadCpuMs();
  while (threadCpuMs() === begin); // ends: reading the clock is work
  const now = threadCpuMs();
  const { user, system } = process.cpuUsage();
  t.true(now > begin);
  t.true(now <= (user + system) / 1000 + 1, 'in milliseconds');
});
