import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { Symbolizer } from '#dist/collector/symbols/symbols.js';

/** No process has this number: PID_MAX_LIMIT is one less. */
const GONE = 4_194_304;

function range(path: string) {
  return { start: 0x1000n, end: 0x2000n, pageOffset: 0n, path, inode: 0n, time: 0n };
}

test('an address without a mapping, or in memory without a file, has a name in brackets', (t) => {
  const symbolizer = new Symbolizer();
  t.deepEqual(symbolizer.user(GONE, 0x1000n, undefined), { name: '[unknown]', object: '[unknown]' });
  for (const [path, name] of [
    ['[heap]', '[heap]'],
    ['', '[anon]'],
    ['//anon', '[anon]'],
    ['/memfd:jit (deleted)', '[memfd:jit (deleted)]'],
  ] as const)
    t.deepEqual(symbolizer.user(GONE, 0x1000n, range(path)), { name, object: name });
});

test('a file without symbols names its frames by its base name', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-symbolizer-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'plain');
  writeFileSync(path, 'not an ELF file');
  t.deepEqual(new Symbolizer().user(GONE, 0x1000n, range(`${path} (deleted)`)), { name: '[plain]', object: 'plain' });
});

test('a perf map of a process that is gone names its code', (t) => {
  const map = `/tmp/perf-${GONE}.map`;
  writeFileSync(map, '1000 100 function_of_a_jit\n', { flag: 'wx' });
  t.teardown(() => rmSync(map));
  t.deepEqual(new Symbolizer().user(GONE, 0x1010n, range('')), { name: 'function_of_a_jit', object: '[jit]' });
});
