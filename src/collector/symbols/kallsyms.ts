import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import type { NamedRange } from './symbol_table.js';
import { SymbolTable } from './symbol_table.js';

/** Enough for the symbols before `_text`: on x86-64 those of per-cpu data. */
const HEAD_BYTES = 1 << 16;

/**
 * Start of the kernel's text: the address of `_text` (or `_stext`). Undefined when /proc/kallsyms cannot be read or
 * contains zeros. Only its head is read: the kernel needs a tenth of a second to produce all of it.
 */
export function kernelTextAddress(path = '/proc/kallsyms'): bigint | undefined {
  try {
    const fd = openSync(path, 'r');
    try {
      const head = Buffer.alloc(HEAD_BYTES);
      let length = 0;
      // A read of /proc returns about a page at a time.
      for (let count = -1; count !== 0 && length < head.length; length += count) {
        count = readSync(fd, head, length, head.length - length, null);
      }
      return textAddressIn(head.toString('latin1', 0, length));
    } finally {
      closeSync(fd);
    }
  } catch {
    return undefined;
  }
}

export function textAddressIn(content: string): bigint | undefined {
  const address = /^([0-9a-f]{1,16}) [tT] _s?text$/m.exec(content)?.[1];
  return address === undefined || /^0+$/.test(address) ? undefined : BigInt(`0x${address}`);
}

/** Functions of the kernel and its modules; undefined when /proc/kallsyms cannot be read or contains zeros (kptr_restrict). */
export function readKernelSymbols(path = '/proc/kallsyms'): SymbolTable | undefined {
  try {
    return parseKernelSymbols(readFileSync(path, 'latin1'));
  } catch {
    return undefined;
  }
}

export function parseKernelSymbols(content: string): SymbolTable | undefined {
  const ranges: NamedRange[] = [];
  for (const match of content.matchAll(/^([0-9a-f]{1,16}) [tTwW] (\S+)/gm)) {
    const start = BigInt(`0x${match[1] ?? '0'}`);
    // kallsyms has no sizes: a function ends at the next one.
    if (start !== 0n) ranges.push({ start, size: 0n, name: match[2] ?? '' });
  }
  return ranges.length === 0 ? undefined : new SymbolTable(ranges);
}
