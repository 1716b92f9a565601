import { openSync } from 'node:fs';
import test from 'ava';
import { fdShortage, kernelRefused } from '#dist/model/errors/kernel_refused.js';

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

test('a system call without room for an fd is refused with its errno, negative or positive', (t) => {
  const thrown = (code: string, errno: number): Error =>
    Object.assign(new Error(code), { code, errno, syscall: 'open' });
  for (const [code, errno] of [
    ['EMFILE', 24],
    ['ENFILE', 23],
    ['ETOOMANYREFS', 109],
  ] as const)
    for (const sign of [1, -1])
      t.like(fdShortage(thrown(code, sign * errno)), {
        error: 'KernelRefused',
        code,
        errno,
        message: `the broker has no room for another fd: open refused with ${code}`,
      });
});

test('any other error is not a shortage of fds', (t) => {
  t.is(fdShortage(t.throws(() => openSync('/nonexistent', 'r'))), null);
  t.is(fdShortage(new Error('a bug')), null);
  t.is(fdShortage({ code: 'EMFILE', errno: 24 }), null);
});
