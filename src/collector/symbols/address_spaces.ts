import type { CommRecord, MmapRecord, TaskRecord } from '../../formats/perf_record.js';

/** Limit on the parents searched for a mapping; real fork chains without an exec are shorter. */
const MAX_ANCESTORS = 64;

/** A memory range of a process, from one record. */
export interface MappedRange {
  readonly start: bigint;
  readonly end: bigint;
  /** Offset of `start` in the file, in bytes. */
  readonly pageOffset: bigint;
  readonly path: string;
  /** 0 when it is unknown, or when there is no file. */
  readonly inode: bigint;
  readonly time: bigint;
}

/** A program in a process, from its fork or exec to the next. */
interface Image {
  readonly since: bigint;
  /** Process that it was forked from and whose mappings it inherited; undefined after an exec. */
  readonly parent: number | undefined;
  readonly ranges: MappedRange[];
  /** Ranges sorted by start, each with the highest end up to it; built at the first look-up. */
  index?: { readonly sorted: readonly MappedRange[]; readonly highest: readonly bigint[] };
}

interface Task {
  readonly since: bigint;
  readonly comm: string;
}

/**
 * Mappings of processes and names of threads at any time of a recording. Records may be added in any order of cpus, but
 * all of them before the first look-up; samples then need no sorting.
 */
export class AddressSpaces {
  readonly #images = new Map<number, Image[]>();
  readonly #comms = new Map<number, Task[]>();
  readonly #events: { readonly time: bigint; readonly apply: () => void }[] = [];

  add(record: MmapRecord | CommRecord | TaskRecord): void {
    const time = record.time ?? 0n;
    this.#events.push({ time, apply: () => this.#apply(record, time) });
  }

  /** @returns undefined when no known mapping covers the address */
  rangeAt(pid: number, address: bigint, time: bigint): MappedRange | undefined {
    this.#settle();
    let [process, asOf]: [number | undefined, bigint] = [pid, time];
    for (let depth = 0; process !== undefined && depth < MAX_ANCESTORS; depth++) {
      const image = this.#imageAt(process, asOf);
      if (image === undefined) return undefined;
      const found = lookUp(image, address, asOf);
      if (found !== undefined) return found;
      [process, asOf] = [image.parent, image.since];
    }
    return undefined;
  }

  /** Name of a thread at a time. */
  commAt(tid: number, time: bigint): string | undefined {
    this.#settle();
    return latest(this.#comms.get(tid) ?? [], time)?.comm;
  }

  #settle(): void {
    if (this.#events.length === 0) return;
    // Stable: records of one cpu with equal times (0 for synthesised ones) keep their order.
    this.#events.sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
    for (const event of this.#events) event.apply();
    this.#events.length = 0;
  }

  #apply(record: MmapRecord | CommRecord | TaskRecord, time: bigint): void {
    switch (record.kind) {
      case 'mmap': {
        const { start, length, pageOffset, path, inode = 0n } = record;
        this.#current(record.pid).ranges.push({ start, end: start + length, pageOffset, path, inode, time });
        return;
      }
      case 'comm':
        this.#name(record.tid, time, record.comm);
        if (record.exec) this.#images.get(record.pid)?.push({ since: time, parent: undefined, ranges: [] });
        return;
      case 'fork': {
        const comm = latest(this.#comms.get(record.parentTid) ?? [], time)?.comm;
        if (comm !== undefined) this.#name(record.tid, time, comm);
        if (record.pid === record.parentPid) return;
        const image: Image = { since: time, parent: record.parentPid, ranges: [] };
        const images = this.#images.get(record.pid);
        if (images === undefined) this.#images.set(record.pid, [image]);
        else images.push(image);
        return;
      }
      case 'exit':
        return;
    }
  }

  #current(pid: number): Image {
    let images = this.#images.get(pid);
    if (images === undefined) this.#images.set(pid, (images = []));
    let image = images.at(-1);
    if (image === undefined) images.push((image = { since: 0n, parent: undefined, ranges: [] }));
    return image;
  }

  #name(tid: number, time: bigint, comm: string): void {
    const names = this.#comms.get(tid);
    if (names === undefined) this.#comms.set(tid, [{ since: time, comm }]);
    else names.push({ since: time, comm });
  }

  #imageAt(pid: number, time: bigint): Image | undefined {
    const images = this.#images.get(pid);
    return images === undefined ? undefined : (latest(images, time) ?? images[0]);
  }
}

/** Last entry that had begun at `time`. Entries are in order of time. */
function latest<T extends { readonly since: bigint }>(entries: readonly T[], time: bigint): T | undefined {
  for (let index = entries.length - 1; index >= 0; index--) {
    const entry = entries[index];
    if (entry !== undefined && entry.since <= time) return entry;
  }
  return entries[0];
}

function lookUp(image: Image, address: bigint, time: bigint): MappedRange | undefined {
  const { sorted, highest } = (image.index ??= indexOf(image.ranges));
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle]?.start ?? 0n) <= address) low = middle + 1;
    else high = middle;
  }
  let best: MappedRange | undefined;
  // Ranges overlap where memory was mapped again. The latest one at that time is valid.
  for (let at = low - 1; at >= 0 && (highest[at] ?? 0n) > address; at--) {
    const range = sorted[at];
    if (range === undefined || address >= range.end || range.time > time) continue;
    if (best === undefined || range.time >= best.time) best = range;
  }
  return best;
}

function indexOf(ranges: readonly MappedRange[]): NonNullable<Image['index']> {
  const sorted = [...ranges].sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0));
  let top = 0n;
  const highest = sorted.map((range) => (top = range.end > top ? range.end : top));
  return { sorted, highest };
}
