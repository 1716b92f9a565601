import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface CompiledTools {
  /** Path of one executable. */
  readonly path: (name: string) => string;
  readonly remove: () => void;
}

/** Compiles test/tools/NAME.c of each name into a directory of its own. Tests run in the root of the checkout. */
export function compileTools(...names: readonly string[]): CompiledTools {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-tools-'));
  for (const name of names)
    execFileSync('gcc', ['-Wall', '-Wextra', '-Werror', '-O1', `test/tools/${name}.c`, '-o', join(directory, name)]);
  return {
    path: (name) => join(directory, name),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}
