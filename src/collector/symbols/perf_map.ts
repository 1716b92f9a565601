import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { SymbolTable } from './symbol_table.js';
import type { NamedRange } from './symbol_table.js';

/** V8 and the JVM write some tens of MiB after hours. */
const MAX_BYTES = 256 << 20;

/**
 * The names that a just-in-time compiler wrote for perf: /tmp/perf-PID.map, lines of `START SIZE name` in hexadecimal
 * (tools/perf/Documentation/jit-interface.txt). /tmp is everyone's: the file counts only when it is a regular file that
 * the process's user or root owns.
 * @param owner uid of the process that is named, undefined when it is gone: then this process's own.
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

/** A later line for the same address replaces an earlier one: code is compiled again. */
export function parsePerfMap(content: string): SymbolTable {
  const ranges = new Map<bigint, NamedRange>();
  for (const match of content.matchAll(/^(?:0x)?([0-9a-f]{1,16}) (?:0x)?([0-9a-f]{1,16}) (.+)$/gim)) {
    const start = BigInt(`0x${match[1] ?? '0'}`);
    ranges.set(start, { start, size: BigInt(`0x${match[2] ?? '0'}`), name: match[3] ?? '' });
  }
  return new SymbolTable([...ranges.values()]);
}
