import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { FormatError } from '#dist/formats/format_error.js';
import { buildLibrary, readElfFile } from './library.js';

const directory = mkdtempSync(join(tmpdir(), 'perfbroker-elf-'));
test.after.always(() => {
  rmSync(directory, { recursive: true, force: true });
});
const library = buildLibrary(directory);

test('functions come from .symtab, and from .dynsym where it was stripped', (t) => {
  if (library === undefined) {
    t.log('skipped: gcc is missing');
    t.is(library, undefined);
    return;
  }
  const whole = readElfFile(library);
  t.true(whole.complete);
  for (const name of ['exported', 'hidden']) t.true(whole.functions.some((each) => each.name === name));
  t.true(whole.functions.some(({ name, size }) => name === 'hidden' && size > 0n));
  const stripped = join(directory, 'stripped.so');
  execFileSync('strip', ['-o', stripped, library]);
  const less = readElfFile(stripped);
  t.false(less.complete);
  const names = less.functions.map(({ name }) => name);
  t.true(names.includes('exported'));
  t.false(names.includes('hidden'));
  t.is(less.buildId, whole.buildId);
  t.regex(whole.buildId ?? '', /^[0-9a-f]{40}$/);
});

test('a truncated ELF file or a hostile field in it causes nothing but a FormatError', (t) => {
  const bytes = readFileSync(library ?? '/bin/true');
  const path = join(directory, 'hostile');
  let refused = 0;
  const attempt = (content: Uint8Array): void => {
    writeFileSync(path, content);
    try {
      readElfFile(path);
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
