import { readFileSync } from 'node:fs';
import type { Fd } from '../../native.js';

/**
 * Names and ids of the tracepoints, from the table that perfbrokerd read as root (tracefs is closed to everybody else)
 * and handed over: lines of `subsystem:event id`. Parsed on first use: most daemons never need it.
 */
export class Tracepoints {
  readonly #fd: Fd | null;
  #ids: Map<string, number> | null = null;

  constructor(fd: Fd | null) {
    this.#fd = fd;
  }

  get size(): number {
    return this.#table().size;
  }

  id(name: string): number | null {
    return this.#table().get(name) ?? null;
  }

  #table(): Map<string, number> {
    if (this.#ids !== null) return this.#ids;
    this.#ids = new Map();
    const text = this.#fd === null ? '' : readFileSync(`/proc/self/fd/${this.#fd}`, 'latin1');
    for (const line of text.split('\n')) {
      const [name, id] = line.split(' ');
      if (name !== undefined && id !== undefined) this.#ids.set(name, Number(id));
    }
    return this.#ids;
  }
}
