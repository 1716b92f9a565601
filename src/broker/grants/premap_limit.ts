import { brokerError } from '../../model/errors/error_table.js';

/**
 * Rings of one user that the opener may have mapped in advance: so that the control pages and page tables of rings of one page
 * each, which no quota of ring bytes counts, stay below some MiB.
 */
export const MAX_PREMAPPED_PER_USER = 1024;

/** From the reservation until the opener is told to let go: a client that never says `Mapped` takes no places from others. */
export class PremapLimit {
  readonly #taken = new Map<number, number>();

  /** @throws QuotaExceeded */
  acquire(uid: number, rings: number): void {
    const taken = this.#taken.get(uid) ?? 0;
    if (taken + rings > MAX_PREMAPPED_PER_USER)
      throw brokerError(
        'QuotaExceeded',
        'rings',
        `uid ${uid} has ${taken} rings that it has not said to have mapped; ${rings} more would exceed ${MAX_PREMAPPED_PER_USER}`,
      );
    this.#taken.set(uid, taken + rings);
  }

  release(uid: number, rings: number): void {
    const left = (this.#taken.get(uid) ?? 0) - rings;
    if (left > 0) this.#taken.set(uid, left);
    else this.#taken.delete(uid);
  }
}
