import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, copyFileSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { ElfImage } from '#dist/collector/symbols/elf.js';
import { addressOfOffset, readElf } from '#dist/collector/symbols/elf.js';
import { openSymbolFile } from '#dist/collector/symbols/symbol_file.js';
import { FormatError } from '#dist/formats/format_error.js';

const directory = mkdtempSync(join(tmpdir(), 'perfbroker-elf-'));
test.after.always(() => {
  rmSync(directory, { recursive: true, force: true });
});

function read(path: string): ElfImage {
  const fd = openSync(path, 'r');
  try {
    return readElf(fd, statSync(path).size);
  } finally {
    closeSync(fd);
  }
}

const library = join(directory, 'library.so');
const built = ((): boolean => {
  const source = join(directory, 'library.c');
  writeFileSync(
    source,
    'int exported(int a) { return a * 3; }\nstatic __attribute__((noinline, used)) int hidden(int a) { return a + 1; }\n',
  );
  return spawnSync('gcc', ['-O1', '-shared', '-fPIC', '-Wl,--build-id', '-o', library, source]).status === 0;
})();

test('functions come from .symtab, and from .dynsym where it was stripped', (t) => {
  if (!built) {
    t.log('skipped: gcc is missing');
    t.false(built);
    return;
  }
  const whole = read(library);
  t.true(whole.complete);
  for (const name of ['exported', 'hidden']) t.true(whole.functions.some((each) => each.name === name));
  t.true(whole.functions.some(({ name, size }) => name === 'hidden' && size > 0n));
  const stripped = join(directory, 'stripped.so');
  execFileSync('strip', ['-o', stripped, library]);
  const less = read(stripped);
  t.false(less.complete);
  const names = less.functions.map(({ name }) => name);
  t.true(names.includes('exported'));
  t.false(names.includes('hidden'));
  t.is(less.buildId, whole.buildId);
  t.regex(whole.buildId ?? '', /^[0-9a-f]{40}$/);
});

test('a function is found by the offset of its bytes in the file', (t) => {
  if (!built) {
    t.log('skipped: gcc is missing');
    t.false(built);
    return;
  }
  const { functions, segments } = read(library);
  const hidden = functions.find(({ name }) => name === 'hidden');
  const segment = segments.find(({ address, fileBytes }) => (hidden?.start ?? 0n) - address < fileBytes);
  const offset = (hidden?.start ?? 0n) - (segment?.address ?? 0n) + (segment?.offset ?? 0n);
  t.is(addressOfOffset(segments, offset), hidden?.start);
  t.is(openSymbolFile([library], 0n)?.find(offset), 'hidden');
  t.is(openSymbolFile([library], 0n)?.find(1n << 40n), undefined);
});

test('of several paths the one with the inode of the mapping is taken', (t) => {
  if (!built) {
    t.log('skipped: gcc is missing');
    t.false(built);
    return;
  }
  const other = join(directory, 'other');
  copyFileSync('/bin/true', other);
  const inode = statSync(library, { bigint: true }).ino;
  const { functions, segments } = read(library);
  const start = functions.find(({ name }) => name === 'exported')?.start ?? 0n;
  const segment = segments[0];
  const offset = start - (segment?.address ?? 0n) + (segment?.offset ?? 0n);
  t.is(openSymbolFile([other, library], inode)?.find(offset), 'exported');
  t.not(openSymbolFile([other, library], 0n)?.find(offset), 'exported');
});

test('no cut and no hostile field of an ELF file does more than a FormatError', (t) => {
  const bytes = built ? readFileSync(library) : readFileSync('/bin/true');
  const path = join(directory, 'hostile');
  let refused = 0;
  const attempt = (content: Uint8Array): void => {
    writeFileSync(path, content);
    try {
      read(path);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      refused++;
    }
  };
  for (let length = 0; length < bytes.length; length += Math.ceil(bytes.length / 150))
    attempt(bytes.subarray(0, length));
  const sections = Number(bytes.readBigUInt64LE(40));
  const places = [...Array.from({ length: 32 }, (_, index) => 16 + 2 * index)];
  for (let at = 64; at < 700; at += 4) places.push(at);
  for (let at = sections; at + 8 <= bytes.length; at += 4) places.push(at);
  for (const at of places)
    for (const value of [0xffff_ffff, 0x7fff_fff8, 0]) {
      const content = Buffer.from(bytes);
      content.writeUInt32LE(value, at);
      attempt(content);
    }
  t.true(refused > 200, `${refused} refused`);
});

test('what is no ELF file has no symbols, and a FIFO does not hang', (t) => {
  const text = join(directory, 'text');
  writeFileSync(text, 'not an ELF file, but longer than an ELF header, which takes sixty-four bytes');
  t.is(openSymbolFile([text], 0n), undefined);
  const fifo = join(directory, 'fifo');
  execFileSync('mkfifo', [fifo]);
  t.is(openSymbolFile([fifo, join(directory, 'absent'), directory], 0n), undefined);
});
