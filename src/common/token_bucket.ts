export interface TokenBucketOptions {
  /** Tokens that come back in a second. */
  readonly ratePerSecond: number;
  /** Most tokens that a key can have saved up. */
  readonly burst: number;
  /** Monotonic, milliseconds. */
  readonly now?: () => number;
  /** Keys that are remembered at most; past it the one that was used longest ago is forgotten. */
  readonly maximumKeys?: number;
}

/** A key that owes tokens is refused for no longer than that. */
const MAX_DEBT_SECONDS = 60;

interface Bucket {
  readonly tokens: number;
  readonly at: number;
}

/**
 * A rate limit for each key (uid). A key that has been quiet for long enough to be full again is forgotten: there is no
 * timer, each call looks at the two that were used longest ago.
 */
export class TokenBucket {
  private readonly ratePerMillisecond: number;
  private readonly burst: number;
  private readonly now: () => number;
  private readonly maximumKeys: number;
  /** In the order of last use. */
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
   * Takes tokens of `key`. More than a full bucket holds can never be there, and costs a full bucket.
   * @returns false when there are not so many; then none is taken
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
    this.forget(now);
    return tokens >= cost;
  }

  /**
   * Takes tokens for something that has been done already. The balance may go below zero, down to what comes back in
   * {@link MAX_DEBT_SECONDS}.
   */
  charge(key: number, tokens: number): void {
    const now = this.now();
    const left = this.tokensAt(this.buckets.get(key), now) - tokens;
    this.buckets.delete(key);
    this.buckets.set(key, { tokens: Math.max(left, -MAX_DEBT_SECONDS * 1000 * this.ratePerMillisecond), at: now });
    this.forget(now);
  }

  /** True while a key owes tokens. */
  get indebted(): boolean {
    const now = this.now();
    return [...this.buckets.values()].some((bucket) => this.tokensAt(bucket, now) < 0);
  }

  /** Keys that are remembered. */
  get size(): number {
    return this.buckets.size;
  }

  private tokensAt(bucket: Bucket | undefined, now: number): number {
    if (bucket === undefined) return this.burst;
    const elapsed = Math.max(0, now - bucket.at);
    return Math.min(this.burst, bucket.tokens + elapsed * this.ratePerMillisecond);
  }

  private forget(now: number): void {
    let looked = 0;
    for (const [key, bucket] of this.buckets) {
      const full = this.tokensAt(bucket, now) >= this.burst;
      if (!full && this.buckets.size <= this.maximumKeys) return;
      this.buckets.delete(key);
      if (++looked === 2) return;
    }
  }
}
