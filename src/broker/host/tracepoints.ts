import { readFileSync } from 'node:fs';
import type { Fd } from '../../native.js';

/**
 * Names and ids of the tracepoints. perfbrokerd reads them as root (only root can read tracefs) and passes them as lines of
 * `subsystem:event id`. They are parsed at the first use: most daemons never need them.
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
