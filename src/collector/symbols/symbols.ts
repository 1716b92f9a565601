import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { MappedRange } from './address_spaces.js';
import { readKernelSymbols } from './kallsyms.js';
import { readPerfMap } from './perf_map.js';
import type { SymbolFile } from './symbol_file.js';
import { openSymbolFile } from './symbol_file.js';
import type { SymbolTable } from './symbol_table.js';

/** A named location in a program. */
export interface Frame {
  /** Name of the function; the object in square brackets when no symbol covers the address. */
  readonly name: string;
  /** Base name of the mapped file, `[kernel]`, `[jit]`, `[unknown]`. */
  readonly object: string;
}

/** Names addresses by the mapped files, JIT maps and kallsyms. Files once read stay in memory. */
export class Symbolizer {
  readonly #files = new Map<string, SymbolFile | undefined>();
  readonly #jits = new Map<number, SymbolTable | undefined>();
  #kernel: SymbolTable | undefined | null = null;

  /** @param range the mapping at the address; undefined when it is unknown */
  user(pid: number, address: bigint, range: MappedRange | undefined): Frame {
    if (range === undefined) return this.#jitted(pid, address) ?? { name: '[unknown]', object: '[unknown]' };
    const { path } = range;
    // Only a perf map names memory without a file, or that of a JIT (memfd, /dev/zero).
    if (!path.startsWith('/') || /^\/(\/anon|memfd:|dev\/)/.test(path))
      return this.#jitted(pid, address) ?? { name: bracketed(path), object: bracketed(path) };
    const object = basename(path).replace(/ \(deleted\)$/, '');
    const name = this.#file(pid, range)?.find(address - range.start + range.pageOffset);
    return name === undefined ? (this.#jitted(pid, address) ?? { name: `[${object}]`, object }) : { name, object };
  }

  kernel(address: bigint): Frame {
    if (this.#kernel === null) this.#kernel = readKernelSymbols();
    return { name: this.#kernel?.find(address) ?? '[kernel]', object: '[kernel]' };
  }

  #file(pid: number, range: MappedRange): SymbolFile | undefined {
    const key = `${range.inode} ${range.path}`;
    if (!this.#files.has(key)) {
      const path = range.path.replace(/ \(deleted\)$/, '');
      this.#files.set(key, openSymbolFile([`/proc/${pid}/root${path}`, path], range.inode));
    }
    return this.#files.get(key);
  }

  #jitted(pid: number, address: bigint): Frame | undefined {
    if (!this.#jits.has(pid)) {
      const { owner, innerPid } = ownerAndInnerPid(pid);
      this.#jits.set(
        pid,
        readPerfMap(`/proc/${pid}/root/tmp/perf-${innerPid}.map`, owner) ?? readPerfMap(`/tmp/perf-${pid}.map`, owner),
      );
    }
    const name = this.#jits.get(pid)?.find(address);
    return name === undefined ? undefined : { name, object: '[jit]' };
  }
}

function bracketed(path: string): string {
  if (path.startsWith('[')) return path;
  return path === '' || path === '//anon' ? '[anon]' : `[${basename(path)}]`;
}

/** Owner of a process, and the innermost of its pids, by which a process in a container names its map. */
function ownerAndInnerPid(pid: number): { owner?: number; innerPid: number } {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const owner = Number(/^Uid:\t\d+\t(\d+)/m.exec(status)?.[1]);
    const innerPid = Number(/^NSpid:.*?(\d+)$/m.exec(status)?.[1] ?? pid);
    return Number.isSafeInteger(owner) ? { owner, innerPid } : { innerPid };
  } catch {
    return { innerPid: pid };
  }
}
