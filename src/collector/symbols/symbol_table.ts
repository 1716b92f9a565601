/** A function: `size` bytes from `start` on; size 0 means up to the next function. */
export interface NamedRange {
  readonly start: bigint;
  readonly size: bigint;
  readonly name: string;
}

/** Functions by address. */
export class SymbolTable {
  readonly #starts: BigUint64Array;
  readonly #ranges: readonly NamedRange[];

  /** Keeps one name for each address: one with a size is preferred, then one without a leading underscore. */
  constructor(ranges: readonly NamedRange[]) {
    const sorted = [...ranges].sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : preference(b, a)));
    this.#ranges = sorted.filter((range, index) => range.start !== sorted[index - 1]?.start);
    this.#starts = new BigUint64Array(this.#ranges.map((range) => range.start));
  }

  get size(): number {
    return this.#ranges.length;
  }

  find(address: bigint): string | undefined {
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#starts[middle] ?? 0n) <= address) low = middle + 1;
      else high = middle;
    }
    const range = this.#ranges[low - 1];
    if (range === undefined) return undefined;
    // The last function, if without a size, has no known end.
    const end = range.size > 0n ? range.start + range.size : this.#starts[low];
    return end !== undefined && address < end ? range.name : undefined;
  }
}

function preference(a: NamedRange, b: NamedRange): number {
  const sized = Number(a.size > 0n) - Number(b.size > 0n);
  return sized !== 0 ? sized : Number(b.name.startsWith('_')) - Number(a.name.startsWith('_'));
}
