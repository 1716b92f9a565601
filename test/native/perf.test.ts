import test from 'ava';
import { native } from '#dist/native.js';
import { burn, closeLater, CPU_CLOCK, isCloseOnExec, openSoftware, PAGE_FAULTS, softwareAttr } from './support.js';

test.serial('a counting event counts while it is enabled, and only then', (t) => {
  const fd = openSoftware({ config: CPU_CLOCK }, process.pid);
  closeLater(t, fd);
  t.true(isCloseOnExec(fd));
  const count = (): bigint => native.perfRead(fd)[0] ?? -1n;
  burn(5);
  t.is(count(), 0n, 'opened disabled');
  native.perfEnable(fd);
  burn(20);
  native.perfDisable(fd);
  const counted = count();
  t.true(counted > 2_000_000n, `${counted} ns`);
  burn(5);
  t.is(count(), counted);
  native.perfReset(fd);
  t.is(count(), 0n);
});

test.serial('perfRead returns the words in the order of read_format', (t) => {
  const ENABLED_RUNNING_ID = 0x1 | 0x2 | 0x4;
  const fd = openSoftware({ config: CPU_CLOCK, readFormat: ENABLED_RUNNING_ID }, process.pid);
  closeLater(t, fd);
  native.perfEnable(fd);
  burn(5);
  native.perfDisable(fd);
  const words = native.perfRead(fd);
  t.is(words.length, 4);
  t.true((words[1] ?? 0n) > 0n && (words[2] ?? 0n) > 0n);
  t.is(words[3], native.perfId(fd));
});

test.serial('a group is read at once through its leader', (t) => {
  const GROUP = 0x8;
  const leader = openSoftware({ config: CPU_CLOCK, readFormat: GROUP }, process.pid);
  const member = native.perfEventOpen(
    softwareAttr({ config: PAGE_FAULTS, readFormat: GROUP }),
    process.pid,
    -1,
    leader,
    0,
  );
  closeLater(t, member, leader);
  t.deepEqual([...native.perfRead(leader)], [2n, 0n, 0n]);
});

test.serial("the kernel's refusals keep their errno", (t) => {
  const attr = softwareAttr({ config: CPU_CLOCK });
  t.throws(() => native.perfEventOpen(attr, 0x3fffffff, -1, -1, 0), { code: 'ESRCH', message: /perf_event_open/ });
  t.throws(() => openSoftware({ config: 4711 }, 0), { code: 'ENOENT' });
  const size = new Uint8Array(200);
  size.set(attr);
  size[4] = 200;
  size[199] = 1;
  t.throws(() => native.perfEventOpen(size, 0, -1, -1, 0), { code: 'E2BIG' });
  t.is(size[4], 200, 'the size that the kernel writes back stays out of the caller’s buffer');
  t.throws(
    () => {
      native.perfEnable(0);
    },
    { message: /ioctl/ },
  );
  const counting = openSoftware({ config: CPU_CLOCK }, 0);
  closeLater(t, counting);
  t.throws(
    () => {
      native.perfSetOutput(counting, 0);
    },
    { code: 'EBADF' },
  );
});
