import test from 'ava';
import { native } from '#dist/native.js';
import { closeFds } from '#dist/varlink/close_fds.js';
import { fdsBackTo, openFds, someFd } from './helpers.js';

test.serial('every fd is closed before the first failure is thrown', async (t) => {
  const before = openFds();
  const [first, bad, last] = [someFd(), someFd(), someFd()];
  native.close(bad);
  t.throws(() => closeFds([first, bad, last]), { code: 'EBADF' });
  t.deepEqual(await fdsBackTo(before), before);
});

test.serial('fds of a user who can make close wait are closed in the lane of that user', async (t) => {
  const before = openFds();
  closeFds([someFd(), someFd()], 1000);
  t.deepEqual(await fdsBackTo(before), before);
  t.notThrows(() => closeFds([], 1000));
});
