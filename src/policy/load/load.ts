import { closeSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PolicyError, type PolicyProblem } from '../error.js';
import type { NameResolver } from './names.js';
import { parsePolicy, type PolicySource } from './parse.js';
import { openTrusted, readTrusted, type Distrust } from './trusted_file.js';
import type { Policy } from '../types.js';

export const DEFAULT_PATH = '/etc/perfbroker/policy.toml';
/** How the embedded default is called in messages and in Policy.sources. */
export const BUILT_IN = 'built-in default';

const MAXIMUM_DROP_INS = 256;

export interface LoadOptions {
  /** The main file; absent: DEFAULT_PATH. */
  readonly path?: string;
  /** What to do when the main file does not exist. By default an error for a `path` that was named. */
  readonly missing?: 'error' | 'built-in default';
  /** Absent: beside the main file, `policy.d` for `policy.toml`. There need not be one. */
  readonly dropInDirectory?: string;
  readonly names?: NameResolver;
}

/**
 * Reads the policy as the broker does: the main file, or the built-in default where there is none, then the `*.toml`
 * of the drop-in directory in the order of their names. Called by a process without privilege: the files must be readable for it.
 * @throws PolicyError for a file that can not be read, that somebody else than root could have written, or that is wrong
 */
export function loadPolicy(options: LoadOptions = {}): Policy {
  return parsePolicy(readSources(options, 'refuse').sources, options.names);
}

/** All files of a policy, and with 'tell' why the broker would refuse them. */
export function readSources(
  options: LoadOptions,
  distrust: Distrust,
): { sources: readonly PolicySource[]; distrusted: readonly PolicyProblem[] } {
  const { path = DEFAULT_PATH, missing = options.path === undefined ? BUILT_IN : 'error', dropInDirectory } = options;
  const main = readTrusted(path, path, distrust);
  if (main === undefined && missing === 'error') {
    throw new PolicyError({ file: path, message: 'there is no such file', remedy: 'Correct the path.' });
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

/** The policy that is in force where the administrator has written none. */
export function builtIn(): PolicySource {
  const text = readFileSync(fileURLToPath(new URL('../default.toml', import.meta.url)), 'utf8');
  // The group comes with the package; from a checkout the default must work without it.
  return { file: BUILT_IN, text, lenientGroups: true };
}

function readDropIns(directory: string, distrust: Distrust): { sources: PolicySource[]; distrusted: PolicyProblem[] } {
  const sources: PolicySource[] = [];
  const opened = openTrusted(directory, directory, 'directory', distrust);
  if (opened === undefined) return { sources, distrusted: [] };
  const distrusted = [...opened.distrust];
  try {
    // By the fd from here on: the directory that was checked, whatever its path leads to meanwhile.
    const pinned = `/proc/self/fd/${opened.fd}`;
    const names = readdirSync(pinned).filter((name) => name.endsWith('.toml') && !name.startsWith('.'));
    if (names.length > MAXIMUM_DROP_INS) {
      const message = `holds ${names.length} files; ${MAXIMUM_DROP_INS} are read at most`;
      throw new PolicyError({ file: directory, message, remedy: 'Put rules together.' });
    }
    for (const name of names.sort()) {
      const file = join(directory, name);
      const read = readTrusted(join(pinned, name), file, distrust);
      // Gone since the directory was read.
      if (read === undefined) continue;
      sources.push({ file, text: read.text });
      distrusted.push(...read.distrust);
    }
  } finally {
    closeSync(opened.fd);
  }
  return { sources, distrusted };
}
