import { spawnSync } from 'node:child_process';
import { closeSync, openSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ElfImage } from '#dist/collector/symbols/elf.js';
import { readElf } from '#dist/collector/symbols/elf.js';

/** Builds a library with an exported function and a hidden one. @returns undefined when there is no gcc */
export function buildLibrary(directory: string): string | undefined {
  const [source, library] = [join(directory, 'library.c'), join(directory, 'library.so')];
  writeFileSync(
    source,
    'int exported(int a) { return a * 3; }\nstatic __attribute__((noinline, used)) int hidden(int a) { return a + 1; }\n',
  );
  const run = spawnSync('gcc', ['-O1', '-shared', '-fPIC', '-Wl,--build-id', '-o', library, source]);
  return run.status === 0 ? library : undefined;
}

export function readElfFile(path: string): ElfImage {
  const fd = openSync(path, 'r');
  try {
    return readElf(fd, statSync(path).size);
  } finally {
    closeSync(fd);
  }
}
