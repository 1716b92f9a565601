import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { SymbolTable } from './symbol_table.js';
import type { NamedRange } from './symbol_table.js';

/** V8 and the JVM write some tens of MiB in hours. */
const MAX_BYTES = 256 << 20;

/**
 * Names that a just-in-time compiler wrote for perf: /tmp/perf-PID.map, lines of `START SIZE name` in hexadecimal
 * (tools/perf/Documentation/jit-interface.txt). Every user can write to /tmp: the file is used only when it is a regular
 * file owned by the process's user or root.
 * @param owner uid of the named process; undefined when the process is gone, then that of this process
 */
export function readPerfMap(path: string, owner: number | undefined = process.getuid?.()): SymbolTable | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    return undefined;
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile() || stat.size > MAX_BYTES || (stat.uid !== owner && stat.uid !== 0)) return undefined;
    return parsePerfMap(readFileSync(fd, 'utf8'));
  } catch {
    return undefined;
  } finally {
    closeSync(fd);
  }
}

/** Parses a perf map. A later line for an address replaces an earlier one: the code was compiled again. */
export function parsePerfMap(content: string): SymbolTable {
  const ranges = new Map<bigint, NamedRange>();
  for (const match of content.matchAll(/^(?:0x)?([0-9a-f]{1,16}) (?:0x)?([0-9a-f]{1,16}) (.+)$/gim)) {
    const start = BigInt(`0x${match[1] ?? '0'}`);
    ranges.set(start, { start, size: BigInt(`0x${match[2] ?? '0'}`), name: match[3] ?? '' });
  }
  return new SymbolTable([...ranges.values()]);
}
