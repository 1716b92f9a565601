/** The request rate of each user, in tokens and in time of the main thread. */
import type { SubordinateUids } from '../../model/identity/subordinate_uids.js';
import { TokenBucket } from '../../common/token_bucket.js';
import type { ServiceLimits } from '../../policy/types.js';

type RateLimits = Pick<ServiceLimits, 'requestsPerSecond' | 'burst'>;

/** Main-thread time of a user at its request rate: a tenth. */
const SHARE_MS_PER_SECOND = 100;
/**
 * Time that a token pays for at least: an ordinary request takes about as much for each of its targets. A policy with more than
 * 500 requests per second therefore grants more than a tenth of the main thread.
 */
const MIN_TOKEN_MS = 0.2;
/** Time that a token pays for at most: the slowest ordinary request. Otherwise the burst of a low rate would be worth seconds. */
const MAX_TOKEN_MS = 2;

export class Rates {
  readonly #subordinateUids: Pick<SubordinateUids, 'userOf'>;
  readonly #slowness: number;
  readonly #now: () => number;
  #bucket: TokenBucket;
  #tokenMs: number;

  /**
   * @param slowness of the machine, so that an ordinary request costs the same tokens on each
   * @param now monotonic, milliseconds
   */
  constructor(
    limits: RateLimits,
    subordinateUids: Pick<SubordinateUids, 'userOf'>,
    slowness: number,
    now: () => number = () => performance.now(),
  ) {
    this.#subordinateUids = subordinateUids;
    this.#slowness = slowness;
    this.#now = now;
    this.#bucket = newBucket(limits, now);
    this.#tokenMs = tokenMs(limits) * this.#slowness;
  }

  /** Every user begins with a full burst again. */
  replaceLimits(limits: RateLimits): void {
    this.#bucket = newBucket(limits, this.#now);
    this.#tokenMs = tokenMs(limits) * this.#slowness;
  }

  /** Milliseconds of the main thread that a token pays for. */
  get tokenMs(): number {
    return this.#tokenMs;
  }

  /** @returns false when the user does not have the tokens; then none is taken */
  take(uid: number, tokens = 1): boolean {
    return this.#bucket.take(this.userOf(uid), tokens);
  }

  /**
   * Takes tokens of a user that has one at least, and owes those that it does not have.
   * @returns false when the user does not have a token; then none is taken
   */
  takeOrOwe(uid: number, tokens: number): boolean {
    return this.#bucket.takeOrOwe(this.userOf(uid), tokens);
  }

  /** Takes tokens for a request that was admitted; the user may owe them. */
  charge(uid: number, tokens: number): void {
    this.#bucket.charge(this.userOf(uid), tokens);
  }

  /** Charges time that was used and that no token has paid for. */
  chargeMs(uid: number, ms: number): void {
    this.#bucket.charge(this.userOf(uid), ms / this.#tokenMs);
  }

  /** True while a user owes tokens: a broker that ended now would forget it. */
  get indebted(): boolean {
    return this.#bucket.indebted;
  }

  /** Subordinate uids share the rate of the user that may use them: it may have tens of thousands. */
  userOf(uid: number): number {
    return this.#subordinateUids.userOf({ uid, sameUserNamespace: true });
  }
}

function newBucket({ requestsPerSecond, burst }: RateLimits, now: () => number): TokenBucket {
  return new TokenBucket({ ratePerSecond: requestsPerSecond, burst, now });
}

function tokenMs({ requestsPerSecond }: RateLimits): number {
  return Math.min(MAX_TOKEN_MS, Math.max(MIN_TOKEN_MS, SHARE_MS_PER_SECOND / requestsPerSecond));
}
