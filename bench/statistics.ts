/** Figures of noisy machines: what counts is the median, and min and max tell how much to believe it. */

/** Median of a non-empty list. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** `min / median / max`. */
export function spread(values: readonly number[], digits: number): string {
  const [low, middle, high] = [Math.min(...values), median(values), Math.max(...values)];
  return [low, middle, high].map((value) => value.toFixed(digits)).join(' / ');
}

/** Two values measured side by side in one round. */
export interface Pair {
  readonly baseline: number;
  readonly ours: number;
}

export function ratios(pairs: readonly Pair[]): number[] {
  return pairs.map(({ baseline, ours }) => ours / baseline);
}
