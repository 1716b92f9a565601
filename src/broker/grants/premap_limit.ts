import { brokerError } from '../../model/errors/error_table.js';

/**
 * Rings of one user that the opener may have mapped in advance. No quota of ring bytes counts the control pages and page tables of rings of
 * one page each; this limit keeps them below a few MiB.
 */
export const MAX_PREMAPPED_PER_USER = 1024;

/**
 * Counts the premapped rings of each user, from the reservation until the opener is asked to unmap them. A client that never calls `Mapped`
 * costs only its user.
 */
export class PremapLimit {
  readonly #taken = new Map<number, number>();

  /** @throws QuotaExceeded */
  acquire(uid: number, rings: number): void {
    const taken = this.#taken.get(uid) ?? 0;
    if (taken + rings > MAX_PREMAPPED_PER_USER)
      throw brokerError(
        'QuotaExceeded',
        'rings',
        `uid ${uid} has ${taken} rings that it has not mapped yet; ${rings} more would exceed ${MAX_PREMAPPED_PER_USER}`,
      );
    this.#taken.set(uid, taken + rings);
  }

  release(uid: number, rings: number): void {
    const left = (this.#taken.get(uid) ?? 0) - rings;
    if (left > 0) this.#taken.set(uid, left);
    else this.#taken.delete(uid);
  }
}
