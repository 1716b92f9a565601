import { native, type Fd } from '../native.js';

/** The rings of a grant that has ended. */
export interface EndedRings {
  /** Events whose ring the client was to map; the watch closes them. */
  readonly fds: readonly Fd[];
  /** Data pages of each. */
  readonly pages: number;
  /** Gives back the user's share. */
  readonly release: () => void;
}

const LOOK_MS = 1000;

/**
 * Rings outlive their grant where a holder keeps them mapped, and as the opener had mapped them first they are charged
 * to nobody: opened, mapped and revoked again and again they would take all memory. So a user's share of ring bytes
 * comes back only when the rings are really gone, wherever their mappings had been passed on to.
 */
export class RingWatch {
  readonly #ended = new Set<EndedRings>();
  #pending = 0;
  #timer: NodeJS.Timeout | null = null;

  /** Grants that have ended and whose rings may still be mapped somewhere. */
  get size(): number {
    return this.#ended.size + this.#pending;
  }

  /** Owns the fds from now on. @param released when the opener has let go of its own mappings */
  async addAfter(released: Promise<void>, rings: EndedRings): Promise<void> {
    this.#pending += 1;
    await released.finally(() => (this.#pending -= 1));
    this.#add(rings);
  }

  #add(rings: EndedRings): void {
    this.#ended.add(rings);
    this.#look();
    if (this.#ended.size > 0) this.#timer ??= setInterval(() => this.#look(), LOOK_MS).unref();
  }

  #look(): void {
    for (const rings of this.#ended) {
      if (rings.fds.some((fd) => native.perfRingMapped(fd, rings.pages))) continue;
      this.#ended.delete(rings);
      for (const fd of rings.fds) native.close(fd);
      rings.release();
    }
    if (this.#timer === null || this.#ended.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }
}
