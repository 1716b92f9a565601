/** Limits for the bytes that are sent to one user. */

export interface ByteBudgetLimits {
  /** Bytes added per second. */
  readonly perSecond: number;
  /** Maximum balance in bytes. */
  readonly burst: number;
  /** Bytes of debt above which a user does not even receive error replies. */
  readonly debt: number;
}

/**
 * Limits for replies. dbus-daemon charges sent messages to this process until their receiver reads them. At 127 MiB it stops serving
 * this process, which cannot see who reads. With these limits, a user who never reads needs minutes to reach that; users who read do
 * not come near them.
 */
export const REPLY_BUDGET: ByteBudgetLimits = { perSecond: 256 * 1024, burst: 8 * 1024 * 1024, debt: 1024 * 1024 };
/** Separate limits for signals, which actions of other users cause: they must not use up a user's budget for calls. */
export const SIGNAL_BUDGET: ByteBudgetLimits = { perSecond: 64 * 1024, burst: 4 * 1024 * 1024, debt: 0 };

interface Account {
  readonly left: number;
  readonly at: number;
}

/** A token bucket for each user. It may be overdrawn, because the size of a reply is known only when it is sent. */
export class ByteBudget {
  readonly #limits: ByteBudgetLimits;
  readonly #now: () => number;
  /** Accounts in the order of last use; accounts that are full again are removed. */
  readonly #accounts = new Map<number, Account>();

  /** @param now monotonic clock, milliseconds */
  constructor(limits: ByteBudgetLimits = REPLY_BUDGET, now: () => number = () => performance.now()) {
    this.#limits = limits;
    this.#now = now;
  }

  /** Number of accounts. */
  get size(): number {
    return this.#accounts.size;
  }

  spend(uid: number, bytes: number): void {
    const left = this.#left(uid) - bytes;
    // Deleted first: a Map keeps the order of insertion.
    this.#accounts.delete(uid);
    this.#accounts.set(uid, { left, at: this.#now() });
    for (const oldest of this.#accounts.keys()) {
      if (this.#left(oldest) < this.#limits.burst) break;
      this.#accounts.delete(oldest);
    }
  }

  /** Returns whether calls of the user are served. */
  hasSome(uid: number): boolean {
    return this.#left(uid) > 0;
  }

  /** Returns whether the user may receive error replies. */
  mayReceive(uid: number): boolean {
    return this.#left(uid) > -this.#limits.debt;
  }

  #left(uid: number): number {
    const account = this.#accounts.get(uid);
    const { burst, perSecond } = this.#limits;
    if (account === undefined) return burst;
    return Math.min(burst, account.left + ((this.#now() - account.at) * perSecond) / 1000);
  }
}
