import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { native } from '#dist/native.js';
import { closeLater, isCloseOnExec } from './support.js';

test.serial('a duplicate is another fd of the same file, closed on exec', (t) => {
  const [one, other] = native.socketPair('stream');
  closeLater(t, other);
  const copy = native.duplicate(one);
  closeLater(t, copy);
  t.not(copy, one);
  t.true(isCloseOnExec(copy));
  native.close(one);
  t.is(native.sendMessage(copy, new Uint8Array(1), []), 1);
  t.throws(() => native.duplicate(one), { code: 'EBADF' });
});

test.serial('closing twice is an error, not silence', (t) => {
  const fd = native.duplicate(0);
  native.close(fd);
  t.throws(
    () => {
      native.close(fd);
    },
    { code: 'EBADF', message: /close/ },
  );
});

test.serial('a pidfd distinguishes a living process from an ended one, reaped or not', async (t) => {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  t.teardown(() => child.kill('SIGKILL'));
  const pidfd = native.pidfdOpen(child.pid ?? 0);
  closeLater(t, pidfd);
  t.true(isCloseOnExec(pidfd));
  t.true(native.pidfdAlive(pidfd));
  child.kill('SIGKILL');
  await once(child, 'exit');
  t.false(native.pidfdAlive(pidfd));
  t.throws(() => native.pidfdOpen(child.pid ?? 0), { code: 'ESRCH', message: /pidfd_open/ });
  t.throws(() => native.pidfdAlive(1_000_000), { code: 'EBADF' });
});

test.serial('the monotonic clock advances in nanoseconds', async (t) => {
  const CLOCK_MONOTONIC = 1;
  const before = native.clockNanoseconds(CLOCK_MONOTONIC);
  await sleep(20);
  const elapsed = native.clockNanoseconds(CLOCK_MONOTONIC) - before;
  t.true(elapsed >= 15_000_000n && elapsed < 10_000_000_000n, String(elapsed));
  t.throws(() => native.clockNanoseconds(15), { code: 'EINVAL' });
});
