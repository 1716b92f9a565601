import { setTimeout as sleep } from 'node:timers/promises';
import type { Fd, LaneUser } from '../../native.js';
import { LANES, type Lanes } from './lanes.js';

/** The rings of a grant that has ended. */
export interface EndedRings {
  readonly lane: LaneUser;
  /** Events whose ring the client was to map; the watch closes them. */
  readonly fds: readonly Fd[];
  /** Returns the reserved quota. */
  readonly release: () => void;
}

const POLL_MS = 1000;

/**
 * Rings outlive their grant where a holder keeps them mapped. The kernel charges them to no user, as the opener had mapped them first: a
 * client that opens, maps and loses grants again and again would take all memory. So the quota of ring bytes is returned only when the
 * rings are gone, in every process that has their mappings.
 */
export class RingWatch {
  readonly #lanes: Pick<Lanes, 'close' | 'ringsMapped'>;
  readonly #pollMs: number;
  #size = 0;

  constructor(lanes: Pick<Lanes, 'close' | 'ringsMapped'> = LANES, pollMs: number = POLL_MS) {
    this.#lanes = lanes;
    this.#pollMs = pollMs;
  }

  /** Grants that have ended and whose rings may still be mapped somewhere. */
  get size(): number {
    return this.#size;
  }

  /**
   * Owns the fds from now on. The next check of a grant starts after the one before it has ended, however long that takes.
   * @param released when the opener has unmapped its own mappings
   */
  async addAfter(released: Promise<void>, { lane, fds, release }: EndedRings): Promise<void> {
    this.#size += 1;
    try {
      await released;
      while (await this.#lanes.ringsMapped(lane, fds)) await sleep(this.#pollMs, undefined, { ref: false });
      await this.#lanes.close(lane, fds);
      release();
    } finally {
      this.#size -= 1;
    }
  }
}
