import { closeSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PolicyError, type PolicyProblem } from '../error.js';
import type { NameResolver } from './names.js';
import { parsePolicy, type PolicySource } from './parse.js';
import { openTrusted, readTrusted, type Distrust } from './trusted_file.js';
import type { Policy } from '../types.js';

export const DEFAULT_PATH = '/etc/perfbroker/policy.toml';
/** Name of the embedded default in messages and in Policy.sources. */
export const BUILT_IN = 'built-in default';

const MAXIMUM_DROP_INS = 256;

export interface LoadOptions {
  /** The main file; absent: DEFAULT_PATH. */
  readonly path?: string;
  /** Behaviour without the main file. By default an error if `path` is given. */
  readonly missing?: 'error' | 'built-in default';
  /** Absent: beside the main file, `policy.d` for `policy.toml`. It may be missing. */
  readonly dropInDirectory?: string;
  readonly names?: NameResolver;
}

/**
 * Reads the policy as the broker does: the main file, or the built-in default without one, then the `*.toml` files of the drop-in
 * directory in the order of their names. The process has no privilege and must be able to read the files.
 * @throws PolicyError for a file that cannot be read, that another user than root can write, or that has problems
 */
export function loadPolicy(options: LoadOptions = {}): Policy {
  return parsePolicy(readSources(options, 'refuse').sources, options.names);
}

/** Reads the files of a policy, and with 'tell' the reasons why the broker would refuse them. */
export function readSources(
  options: LoadOptions,
  distrust: Distrust,
): { sources: readonly PolicySource[]; distrusted: readonly PolicyProblem[] } {
  const { path = DEFAULT_PATH, missing = options.path === undefined ? BUILT_IN : 'error', dropInDirectory } = options;
  const main = readTrusted(path, path, distrust);
  if (main === undefined && missing === 'error') {
    throw new PolicyError({ file: path, message: 'does not exist', remedy: 'Correct the path.' });
  }
  const dropIns = readDropIns(dropInDirectory ?? dropInDirectoryOf(path), distrust);
  return {
    sources: [main === undefined ? builtIn() : { file: path, text: main.text }, ...dropIns.sources],
    distrusted: [...(main?.distrust ?? []), ...dropIns.distrusted],
  };
}

/** `/etc/perfbroker/policy.toml` -> `/etc/perfbroker/policy.d` */
export function dropInDirectoryOf(path: string): string {
  return join(dirname(path), `${basename(path, '.toml')}.d`);
}

/** Policy of a machine without policy files. */
export function builtIn(): PolicySource {
  const text = readFileSync(fileURLToPath(new URL('../default.toml', import.meta.url)), 'utf8');
  // The package creates the group; in a checkout the default must load without it.
  return { file: BUILT_IN, text, lenientGroups: true };
}

function readDropIns(directory: string, distrust: Distrust): { sources: PolicySource[]; distrusted: PolicyProblem[] } {
  const sources: PolicySource[] = [];
  const opened = openTrusted(directory, directory, 'directory', distrust);
  if (opened === undefined) return { sources, distrusted: [] };
  const distrusted = [...opened.distrust];
  try {
    // Through the fd: the path may lead to another directory by now.
    const pinned = `/proc/self/fd/${opened.fd}`;
    const names = readdirSync(pinned).filter((name) => name.endsWith('.toml') && !name.startsWith('.'));
    if (names.length > MAXIMUM_DROP_INS) {
      const message = `contains ${names.length} files; the limit is ${MAXIMUM_DROP_INS}`;
      throw new PolicyError({ file: directory, message, remedy: 'Put several rules into one file.' });
    }
    for (const name of names.sort()) {
      const file = join(directory, name);
      const read = readTrusted(join(pinned, name), file, distrust);
      // Removed after the directory was read.
      if (read === undefined) continue;
      sources.push({ file, text: read.text });
      distrusted.push(...read.distrust);
    }
  } finally {
    closeSync(opened.fd);
  }
  return { sources, distrusted };
}
