/** Prints the results of a part of the benchmark. */
import { median, ratios, spread, type Pair } from './statistics.js';

export function heading(text: string): void {
  console.log(`\n${text}`);
}

export function line(name: string, text: string): void {
  console.log(`  ${name.padEnd(46)} ${text}`);
}

/** Absolute medians, and the ratio over the rounds against its goal. */
export function ratioLine(name: string, pairs: readonly Pair[], unit: string, goal?: number): void {
  const found = ratios(pairs);
  const digits = unit === 'us' ? 0 : 3;
  const [baseline, ours] = [pairs.map((pair) => pair.baseline), pairs.map((pair) => pair.ours)];
  line(
    name,
    `baseline ${median(baseline).toFixed(digits)} ${unit}, ours ${median(ours).toFixed(digits)} ${unit}, ` +
      `ratio ${spread(found, 2)}${goal === undefined ? '' : verdict(median(found) <= goal, `at most ${goal}`)}`,
  );
}

export function verdict(reached: boolean, goal: string): string {
  return `  [goal ${goal}: ${reached ? 'reached' : 'MISSED'}]`;
}
