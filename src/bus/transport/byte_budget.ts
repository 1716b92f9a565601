/** What one user may cost, as time goes by. */

export interface AllowanceLimits {
  /** Bytes that come back in a second. */
  readonly perSecond: number;
  /** Most bytes that can have been saved up. */
  readonly burst: number;
  /** Bytes below nothing at which a user is not even told any more that there is nothing left. */
  readonly debt: number;
}

/**
 * What we send is charged to us by dbus-daemon until it is read (127 MiB at most, and then it serves us no more), and who reads
 * and who does not is not to be seen from here. A user who never reads needs minutes for that with these limits, and
 * nobody who reads gets near them.
 */
export const ALLOWANCE: AllowanceLimits = { perSecond: 256 * 1024, burst: 8 * 1024 * 1024, debt: 1024 * 1024 };
/** Beside it, for signals: what others do is told by them, and nobody may be kept from calling by that. */
export const SIGNAL_ALLOWANCE: AllowanceLimits = { perSecond: 64 * 1024, burst: 4 * 1024 * 1024, debt: 0 };

interface Account {
  readonly left: number;
  readonly at: number;
}

/** A token bucket for each user, which may be overdrawn: what an answer costs is known when it was sent. */
export class Allowance {
  readonly #limits: AllowanceLimits;
  readonly #now: () => number;
  /** In the order of last use; those that are full again are forgotten. */
  readonly #accounts = new Map<number, Account>();

  /** @param now monotonic, milliseconds */
  constructor(limits: AllowanceLimits = ALLOWANCE, now: () => number = () => performance.now()) {
    this.#limits = limits;
    this.#now = now;
  }

  /** Users that are remembered. */
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

  /** Whether the user may have something done. */
  hasSome(uid: number): boolean {
    return this.#left(uid) > 0;
  }

  /** Whether the user may at least be told no. */
  mayHear(uid: number): boolean {
    return this.#left(uid) > -this.#limits.debt;
  }

  #left(uid: number): number {
    const account = this.#accounts.get(uid);
    const { burst, perSecond } = this.#limits;
    if (account === undefined) return burst;
    return Math.min(burst, account.left + ((this.#now() - account.at) * perSecond) / 1000);
  }
}
