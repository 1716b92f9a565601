import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface CompiledTools {
  /** Path of one executable. */
  readonly path: (name: string) => string;
  readonly remove: () => void;
}

/**
 * Compiles test/tools/NAME.c of each name, or test/tools/NAME.cc with those sources of native/ that it is about, into a
 * directory of its own. Tests run in the root of the checkout.
 */
export function compileTools(
  ...tools: readonly (string | { readonly cxx: string; readonly with: readonly string[] })[]
): CompiledTools {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-tools-'));
  chmodSync(directory, 0o755); // other users execute some of them
  for (const tool of tools) {
    if (typeof tool === 'string')
      execFileSync('gcc', ['-Wall', '-Wextra', '-Werror', '-O1', `test/tools/${tool}.c`, '-o', join(directory, tool)]);
    else {
      const sources = [`test/tools/${tool.cxx}.cc`, ...tool.with.map((path) => `native/${path}`)];
      execFileSync('g++', [
        '-std=c++20',
        '-Wall',
        '-Wextra',
        '-O0',
        '-Inative',
        ...sources,
        '-o',
        join(directory, tool.cxx),
      ]);
    }
  }
  return {
    path: (name) => join(directory, name),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}
