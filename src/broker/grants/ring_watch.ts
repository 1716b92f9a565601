import { setTimeout as sleep } from 'node:timers/promises';
import type { Fd, LaneUser } from '../../native.js';
import { LANES, type Lanes } from './lanes.js';

/** The rings of a grant that has ended. */
export interface EndedRings {
  readonly lane: LaneUser;
  /** Events whose ring the client was to map; the watch closes them. */
  readonly fds: readonly Fd[];
  /** Returns the user's share. */
  readonly release: () => void;
}

const POLL_MS = 1000;

/**
 * Rings outlive their grant where a holder keeps them mapped, and as the opener had mapped them first the kernel charges them
 * to no user: opened, mapped and revoked again and again they would take all memory. So a user's share of ring bytes
 * comes back only when the rings are really gone, in every process that their mappings were passed to.
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
