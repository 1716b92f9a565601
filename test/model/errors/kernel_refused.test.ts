import test from 'ava';
import { kernelRefused } from '#dist/model/errors/kernel_refused.js';

test('a refusal names the call, the event and the errno', (t) => {
  const error = kernelRefused(13, { what: 'cycles of process 7' });
  t.is(error.message, 'cycles of process 7: perf_event_open refused with EACCES');
  t.like(error, { error: 'KernelRefused', code: 'EACCES', errno: 13 });
});

test('an errno without a code is named by its number', (t) => {
  const error = kernelRefused(9999, { what: 'ring of 4 MiB', call: 'mmap' });
  t.is(error.message, 'ring of 4 MiB: mmap refused with errno 9999');
  t.like(error, { code: 'other', errno: 9999 });
});
