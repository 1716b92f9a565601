import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { addressOfOffset } from '#dist/collector/symbols/elf.js';
import { openSymbolFile } from '#dist/collector/symbols/symbol_file.js';
import { buildLibrary, readElfFile } from './library.js';

const directory = mkdtempSync(join(tmpdir(), 'perfbroker-symbols-'));
test.after.always(() => {
  rmSync(directory, { recursive: true, force: true });
});
const library = buildLibrary(directory);

test('a function is found by the offset of its bytes in the file', (t) => {
  if (library === undefined) {
    t.log('skipped: gcc is missing');
    t.is(library, undefined);
    return;
  }
  const { functions, segments } = readElfFile(library);
  const hidden = functions.find(({ name }) => name === 'hidden');
  const segment = segments.find(({ address, fileBytes }) => (hidden?.start ?? 0n) - address < fileBytes);
  const offset = (hidden?.start ?? 0n) - (segment?.address ?? 0n) + (segment?.offset ?? 0n);
  t.is(addressOfOffset(segments, offset), hidden?.start);
  t.is(openSymbolFile([library], 0n)?.find(offset), 'hidden');
  t.is(openSymbolFile([library], 0n)?.find(1n << 40n), undefined);
});

test('of several paths, the one with the inode of the mapping is used', (t) => {
  if (library === undefined) {
    t.log('skipped: gcc is missing');
    t.is(library, undefined);
    return;
  }
  const other = join(directory, 'other');
  copyFileSync('/bin/true', other);
  const inode = statSync(library, { bigint: true }).ino;
  const { functions, segments } = readElfFile(library);
  const start = functions.find(({ name }) => name === 'exported')?.start ?? 0n;
  const segment = segments[0];
  const offset = start - (segment?.address ?? 0n) + (segment?.offset ?? 0n);
  t.is(openSymbolFile([other, library], inode)?.find(offset), 'exported');
  t.not(openSymbolFile([other, library], 0n)?.find(offset), 'exported');
});

test('a file that is not ELF has no symbols, and a FIFO does not hang', (t) => {
  const text = join(directory, 'text');
  writeFileSync(text, 'not an ELF file, but longer than an ELF header, which takes sixty-four bytes');
  t.is(openSymbolFile([text], 0n), undefined);
  const fifo = join(directory, 'fifo');
  execFileSync('mkfifo', [fifo]);
  t.is(openSymbolFile([fifo, join(directory, 'absent'), directory], 0n), undefined);
});
