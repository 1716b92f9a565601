import { chownSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { cgroupPath, cgroupRoot } from '#dist/collector/host/cgroups.js';
import { parseCpuList } from '#dist/common/cpus.js';
import { parseKernelSymbols, textAddressIn } from '#dist/collector/symbols/kallsyms.js';
import { parseMaps } from '#dist/collector/record/maps.js';
import { parsePerfMap, readPerfMap } from '#dist/collector/symbols/perf_map.js';
import { stackOf } from '#dist/collector/profile/stacks.js';
import { SymbolTable } from '#dist/collector/symbols/symbol_table.js';

test('a line of maps becomes a mapping, with spaces and newlines in its path', (t) => {
  const [first, second] = parseMaps(
    '7f00-7f80 r-xp 00001000 08:01 123                        /tmp/a b\\012c (deleted)\n' +
      'garbage\n8000-9000 rw-s 00000000 00:00 0 \n',
  );
  t.deepEqual(first, {
    start: 0x7f00n,
    end: 0x7f80n,
    offset: 0x1000n,
    protection: 5,
    shared: false,
    major: 8,
    minor: 1,
    inode: 123n,
    path: '/tmp/a b\nc (deleted)',
  });
  t.like(second, { protection: 3, shared: true, path: '' });
});

test('cpu lists are read as the kernel writes them, and refused otherwise', (t) => {
  t.deepEqual(parseCpuList('0-2,8,1\n'), [0, 1, 2, 8]);
  for (const text of ['', 'a', '3-1', '1-', '-1', '0-99999', '1,,2'])
    t.throws(() => parseCpuList(text), { instanceOf: RangeError });
});

test('kallsyms that show zeros name nothing', (t) => {
  const zeros = '0000000000000000 T _text\n0000000000000000 T do_exit\n';
  t.is(parseKernelSymbols(zeros), undefined);
  t.is(textAddressIn(zeros), undefined);
  const real =
    'ffffffff81000000 T _stext\nffffffff81000040 T do_exit\nffffffff81000080 D data\nffffffff81000100 t last\t[module]\n';
  t.is(textAddressIn(real), 0xffffffff81000000n);
  t.is(parseKernelSymbols(real)?.find(0xffffffff81000050n), 'do_exit');
});

test('a symbol ends with its size, and one without a size at the next', (t) => {
  const table = new SymbolTable([
    { start: 100n, size: 10n, name: 'sized' },
    { start: 200n, size: 0n, name: 'open' },
    { start: 300n, size: 0n, name: 'last' },
    { start: 100n, size: 0n, name: 'alias without size' },
  ]);
  const found = [99n, 100n, 109n, 110n, 299n, 300n, 5000n].map((address) => table.find(address));
  t.deepEqual(found, [undefined, 'sized', 'sized', undefined, 'open', undefined, undefined]);
});

test('a JIT that compiles again renames the address', (t) => {
  const table = parsePerfMap('1000 20 LazyCompile:~f a.js:1\n0x2000 10 g\nbroken\n1000 20 LazyCompile:*f a.js:1\n');
  t.is(table.find(0x1010n), 'LazyCompile:*f a.js:1');
  t.is(table.find(0x2000n), 'g');
});

test('a perf map of another user, or behind a symbolic link, is not believed', (t) => {
  if (process.getuid?.() !== 0) {
    t.log('skipped: not root, files can not be given away');
    t.not(process.getuid?.(), 0);
    return;
  }
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-perf-map-'));
  try {
    const map = join(directory, 'perf-1.map');
    writeFileSync(map, '1000 10 f\n');
    t.is(readPerfMap(map, 60123)?.find(0x1000n), 'f', "root's own");
    chownSync(map, 60124, 60124);
    t.is(readPerfMap(map, 60123), undefined);
    t.is(readPerfMap(map, 60124)?.find(0x1000n), 'f');
    const link = join(directory, 'link');
    symlinkSync(map, link);
    t.is(readPerfMap(link, 60124), undefined);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('return addresses are moved into their call, the innermost address of each side is not', (t) => {
  const [kernel, user] = [0xffff_ffff_ffff_ff80n, 0xffff_ffff_ffff_fe00n];
  const stack = stackOf({ kind: 'sample', cpuMode: 1, ip: 9n, callchain: [kernel, 100n, 90n, user, 50n, 40n] });
  t.deepEqual(stack, [
    { address: 100n, kernel: true },
    { address: 89n, kernel: true },
    { address: 50n, kernel: false },
    { address: 39n, kernel: false },
  ]);
  t.deepEqual(stackOf({ kind: 'sample', cpuMode: 2, ip: 9n }), [{ address: 9n, kernel: false }]);
});

test('a cgroup is named by its directory or as /proc/PID/cgroup does, under the hierarchy that events follow', (t) => {
  const v1 = 'cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\ncgroup /sys/fs/cgroup/perf cgroup rw,perf_event 0 0\n';
  t.is(cgroupRoot(`${v1}cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n`), '/sys/fs/cgroup/perf');
  t.is(cgroupRoot('cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n'), '/sys/fs/cgroup');
  t.is(cgroupPath('/user.slice', '/sys/fs/cgroup'), '/sys/fs/cgroup/user.slice');
  t.is(cgroupPath('/sys/fs/cgroup/user.slice', '/sys/fs/cgroup'), '/sys/fs/cgroup/user.slice');
});
