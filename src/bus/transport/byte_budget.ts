/** Limits for the bytes that are sent to one user. */
import { TokenBucket } from '../../common/token_bucket.js';

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

/** The bytes of each user. A budget may be overdrawn, because the size of a reply is known only when it is sent. */
export class ByteBudget {
  readonly #debt: number;
  readonly #bucket: TokenBucket;

  /** @param now monotonic clock, milliseconds */
  constructor({ perSecond, burst, debt }: ByteBudgetLimits = REPLY_BUDGET, now?: () => number) {
    this.#debt = debt;
    this.#bucket = new TokenBucket({ ratePerSecond: perSecond, burst, ...(now && { now }) });
  }

  spend(uid: number, bytes: number): void {
    this.#bucket.charge(uid, bytes);
  }

  /** Returns whether calls of the user are served. */
  hasSome(uid: number): boolean {
    return this.#bucket.balance(uid) > 0;
  }

  /** Returns whether the user may receive error replies. */
  mayReceive(uid: number): boolean {
    return this.#bucket.balance(uid) > -this.#debt;
  }
}
