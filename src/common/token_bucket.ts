export interface TokenBucketOptions {
  /** Tokens added per second. */
  readonly ratePerSecond: number;
  /** Maximum balance of a key. */
  readonly burst: number;
  /** Monotonic clock, milliseconds. */
  readonly now?: () => number;
  /** Maximum number of buckets. Above it, the bucket that was used least recently is dropped. */
  readonly maximumKeys?: number;
}

/** Maximum time for which a key that owes tokens is refused. */
const MAX_DEBT_SECONDS = 60;

interface Bucket {
  readonly tokens: number;
  readonly at: number;
}

/**
 * A rate limit for each key (uid). A bucket that is full again is dropped. There is no timer: each call checks the two buckets that were
 * used least recently.
 */
export class TokenBucket {
  private readonly ratePerMillisecond: number;
  private readonly burst: number;
  private readonly now: () => number;
  private readonly maximumKeys: number;
  /** Buckets in the order of last use. */
  private readonly buckets = new Map<number, Bucket>();

  constructor({ ratePerSecond, burst, now = () => performance.now(), maximumKeys = 16_384 }: TokenBucketOptions) {
    if (!(ratePerSecond > 0) || !(burst >= 1) || !(maximumKeys >= 1))
      throw new RangeError('token bucket: out of range');
    this.ratePerMillisecond = ratePerSecond / 1000;
    this.burst = burst;
    this.now = now;
    this.maximumKeys = maximumKeys;
  }

  /**
   * Takes tokens of `key`. A number above the burst costs a full bucket.
   * @returns false when the key does not have the tokens; then none is taken
   */
  take(key: number, wanted = 1): boolean {
    const cost = Math.min(wanted, this.burst);
    const now = this.now();
    const bucket = this.buckets.get(key);
    const tokens = this.tokensAt(bucket, now);
    // Deleted first: a Map keeps the order of insertion.
    this.buckets.delete(key);
    // A refused call leaves the bucket as it was, so that frequent callers lose nothing to rounding.
    this.buckets.set(key, tokens < cost ? (bucket ?? { tokens, at: now }) : { tokens: tokens - cost, at: now });
    this.dropFull(now);
    return tokens >= cost;
  }

  /**
   * Takes tokens of a key that has one at least; the key owes those that it does not have. A key with few tokens, or with a burst below
   * `wanted`, is served too, and waits longer afterwards.
   * @returns false when the key does not have a token; then none is taken
   */
  takeOrOwe(key: number, wanted: number): boolean {
    if (this.balance(key) < Math.min(1, wanted)) return false;
    this.charge(key, wanted);
    return true;
  }

  /**
   * Takes tokens for work that is already done. The balance may become negative, down to the tokens of {@link MAX_DEBT_SECONDS}.
   */
  charge(key: number, tokens: number): void {
    const now = this.now();
    const left = this.tokensAt(this.buckets.get(key), now) - tokens;
    this.buckets.delete(key);
    this.buckets.set(key, { tokens: Math.max(left, -MAX_DEBT_SECONDS * 1000 * this.ratePerMillisecond), at: now });
    this.dropFull(now);
  }

  /** Returns the tokens of a key; negative while it owes tokens. */
  balance(key: number): number {
    return this.tokensAt(this.buckets.get(key), this.now());
  }

  /** True while a key owes tokens. */
  get indebted(): boolean {
    const now = this.now();
    return [...this.buckets.values()].some((bucket) => this.tokensAt(bucket, now) < 0);
  }

  /** Number of buckets. */
  get size(): number {
    return this.buckets.size;
  }

  private tokensAt(bucket: Bucket | undefined, now: number): number {
    if (bucket === undefined) return this.burst;
    const elapsed = Math.max(0, now - bucket.at);
    return Math.min(this.burst, bucket.tokens + elapsed * this.ratePerMillisecond);
  }

  private dropFull(now: number): void {
    let checked = 0;
    for (const [key, bucket] of this.buckets) {
      const full = this.tokensAt(bucket, now) >= this.burst;
      if (!full && this.buckets.size <= this.maximumKeys) return;
      this.buckets.delete(key);
      if (++checked === 2) return;
    }
  }
}
