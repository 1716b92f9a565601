import { readFileSync } from 'node:fs';
import type { NamedRange } from './symbol_table.js';
import { SymbolTable } from './symbol_table.js';

/** Text of the kernel and its modules, from /proc/kallsyms. */
export interface KernelSymbols {
  readonly table: SymbolTable;
  /** Address of `_text` (or `_stext`). */
  readonly text: bigint;
}

/**
 * /proc/kallsyms, or undefined when it can not be read or shows zeros (kptr_restrict; CAP_SYSLOG).
 */
export function readKernelSymbols(path = '/proc/kallsyms'): KernelSymbols | undefined {
  let content: string;
  try {
    content = readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
  return parseKernelSymbols(content);
}

export function parseKernelSymbols(content: string): KernelSymbols | undefined {
  const ranges: NamedRange[] = [];
  let text: bigint | undefined;
  for (const match of content.matchAll(/^([0-9a-f]{1,16}) ([tTwW]) (\S+)/gm)) {
    const start = BigInt(`0x${match[1] ?? '0'}`);
    if (start === 0n) continue;
    const name = match[3] ?? '';
    if (name === '_text' || (name === '_stext' && text === undefined)) text = start;
    // No sizes here: a function goes on to the next one.
    ranges.push({ start, size: 0n, name });
  }
  return text === undefined ? undefined : { table: new SymbolTable(ranges), text };
}
