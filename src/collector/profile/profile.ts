import type { PerfDataReader } from '../../formats/perfdata_reader.js';
import { AddressSpaces } from '../symbols/address_spaces.js';
import { stackOf } from './stacks.js';
import type { Frame } from '../symbols/symbols.js';
import { Symbolizer } from '../symbols/symbols.js';

/** A stack of a recording, and how often it was sampled. */
export interface ProfiledStack {
  /** Index into the file's events. */
  readonly event: number;
  /** Name of the thread. */
  readonly comm: string;
  /** Outermost first. */
  readonly frames: readonly Frame[];
  samples: number;
}

export interface Profile {
  readonly stacks: readonly ProfiledStack[];
  readonly samples: number;
  readonly lost: bigint;
  /** For each event of which every sample is in unknown memory: the processes, and those of which the file has no mapping. */
  readonly unknown: ReadonlyMap<number, UnknownMemory>;
}

export interface UnknownMemory {
  readonly pids: readonly number[];
  readonly unmapped: readonly number[];
}

/** Source of names. */
type Names = Pick<Symbolizer, 'user' | 'kernel'>;

/** Addresses whose names are cached; the cache is cleared when it is full. */
const MAX_CACHED = 1 << 18;

/**
 * Aggregates a recording by stack. The file is read twice, first for the mappings and then for the samples, so that memory
 * grows with distinct stacks and not with samples.
 * @throws FormatError
 */
export function readProfile(reader: Pick<PerfDataReader, 'records'>, symbolizer: Names = new Symbolizer()): Profile {
  const spaces = new AddressSpaces();
  const mapped = new Set<number>();
  let lost = 0n;
  for (const { record } of reader.records()) {
    if (record.kind === 'mmap' || record.kind === 'comm' || record.kind === 'fork') spaces.add(record);
    if (record.kind === 'mmap') mapped.add(record.pid);
    else if (record.kind === 'lost') lost += record.lost;
  }
  const stacks = new Map<string, ProfiledStack>();
  const frames = new FrameCache(spaces, symbolizer);
  const unknown = new UnknownSamples();
  let samples = 0;
  for (const { event, record } of reader.records()) {
    if (record.kind !== 'sample') continue;
    samples++;
    const { pid = -1, tid = -1, time = 0n } = record;
    const comm = spaces.commAt(tid, time) ?? spaces.commAt(pid, time) ?? `[${tid}]`;
    const list = stackOf(record).map(({ address, kernel }) => frames.at(pid, address, kernel, time));
    list.reverse();
    unknown.add(event, pid, list.at(-1)?.object === '[unknown]');
    const key = `${event}\n${comm}\n${list.map((frame) => frame.key).join(' ')}`;
    const known = stacks.get(key);
    if (known === undefined) stacks.set(key, { event, comm, frames: list, samples: 1 });
    else known.samples++;
  }
  return { stacks: [...stacks.values()], samples, lost, unknown: unknown.memory(mapped) };
}

/** Processes of events without a single sample in known memory. */
class UnknownSamples {
  readonly #pids = new Map<number, Set<number>>();
  readonly #known = new Set<number>();

  add(event: number, pid: number, isUnknown: boolean): void {
    if (!isUnknown) this.#known.add(event);
    const pids = this.#pids.get(event);
    if (pids === undefined) this.#pids.set(event, new Set([pid]));
    else pids.add(pid);
  }

  memory(mapped: ReadonlySet<number>): ReadonlyMap<number, UnknownMemory> {
    const result = new Map<number, UnknownMemory>();
    for (const [event, set] of this.#pids) {
      const pids = [...set].sort((a, b) => a - b);
      if (!this.#known.has(event)) result.set(event, { pids, unmapped: pids.filter((pid) => !mapped.has(pid)) });
    }
    return result;
  }
}

interface KeyedFrame extends Frame {
  /** Unique for each pair of name and object. */
  readonly key: number;
}

class FrameCache {
  readonly #spaces: AddressSpaces;
  readonly #symbolizer: Names;
  readonly #byAddress = new Map<string, KeyedFrame>();
  readonly #byName = new Map<string, KeyedFrame>();

  constructor(spaces: AddressSpaces, symbolizer: Names) {
    this.#spaces = spaces;
    this.#symbolizer = symbolizer;
  }

  at(pid: number, address: bigint, kernel: boolean, time: bigint): KeyedFrame {
    const range = kernel ? undefined : this.#spaces.rangeAt(pid, address, time);
    // The mapping is part of the key: an address has another name after an exec or a remapping.
    const where = kernel
      ? 'k'
      : range === undefined
        ? `${pid}`
        : `${pid} ${range.start} ${range.pageOffset} ${range.path}`;
    const key = `${address} ${where}`;
    const known = this.#byAddress.get(key);
    if (known !== undefined) return known;
    const frame = this.#intern(kernel ? this.#symbolizer.kernel(address) : this.#symbolizer.user(pid, address, range));
    if (this.#byAddress.size >= MAX_CACHED) this.#byAddress.clear();
    this.#byAddress.set(key, frame);
    return frame;
  }

  #intern(frame: Frame): KeyedFrame {
    const name = `${frame.object}\n${frame.name}`;
    let known = this.#byName.get(name);
    if (known === undefined) this.#byName.set(name, (known = { ...frame, key: this.#byName.size }));
    return known;
  }
}
