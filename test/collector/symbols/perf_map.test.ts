import { chownSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { parsePerfMap, readPerfMap } from '#dist/collector/symbols/perf_map.js';

test('code that a JIT compiles again has its new name', (t) => {
  const table = parsePerfMap('1000 20 LazyCompile:~f a.js:1\n0x2000 10 g\nbroken\n1000 20 LazyCompile:*f a.js:1\n');
  t.is(table.find(0x1010n), 'LazyCompile:*f a.js:1');
  t.is(table.find(0x2000n), 'g');
});

test('a perf map of another user, or behind a symbolic link, is ignored', (t) => {
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
