import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { decodeAttr } from '../model/events/attr/attr.js';
import { BrokerError } from '../model/errors/errors.js';
import { eventName } from '../model/events/syntax/event_name.js';
import type { AttrView } from './attr_view.js';
import { viewAttr } from './attr_view.js';
import { ByteReader } from './byte_reader.js';
import { FormatError } from './format_error.js';
import {
  FILE_HEADER_BYTES,
  Feature,
  MAGIC,
  RECORD_HEADER_BYTES,
  RecordType,
  SECTION_BYTES,
  SampleBit,
} from './perf_abi.js';
import type { FeatureSection, StoredInfo } from './perfdata_features.js';
import { decodeFeatures } from './perfdata_features.js';
import type { PerfRecord, RawRecord } from './perf_record.js';
import { decodeRecord, identifierOf } from './perf_record.js';

/** Limits on sizes that a header may declare; those of real files are far smaller. */
const MAX_ATTR_BYTES = 16 << 20;
const MAX_ID_BYTES = 64 << 20;
const MAX_FEATURE_BYTES = 16 << 20;
/** Bytes of records read at once. */
const WINDOW_BYTES = 1 << 20;
/** Number of feature bits in a header. */
const FEATURE_BITS = 256;

/** An event of a file. */
export interface StoredEvent {
  readonly name: string;
  readonly attr: AttrView;
  readonly ids: readonly bigint[];
}

/** A decoded record, and the index of its event. */
export interface StoredRecord {
  readonly event: number;
  readonly record: PerfRecord;
}

/**
 * Reads perf.data files in file mode: ours, and those of perf unless they are compressed. The file is untrusted: every
 * offset, size and count is checked against its length before use.
 */
export class PerfDataReader implements Disposable {
  readonly events: readonly StoredEvent[];
  readonly info: StoredInfo;
  /** False when the writer did not finish the file; its records are then read up to the last complete one. */
  readonly finished: boolean;
  readonly #fd: number;
  readonly #data: { readonly offset: number; readonly end: number };
  readonly #eventOfId: ReadonlyMap<bigint, number>;
  readonly #identified: 'alone' | 'by-identifier' | 'by-id';
  #closed = false;

  /**
   * @param file path, or an fd open for reading, which the reader owns from then on
   * @throws FormatError, or the system's error when the file cannot be opened
   */
  constructor(file: string | number) {
    // O_NONBLOCK: opening a FIFO must not hang.
    this.#fd =
      typeof file === 'number' ? file : openSync(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
    try {
      const stat = fstatSync(this.#fd);
      if (!stat.isFile()) throw new FormatError('not a regular file');
      const header = this.#section(0, FILE_HEADER_BYTES, stat.size, 'header');
      const reader = new ByteReader(header, 'header');
      if (reader.u64() !== MAGIC) throw new FormatError('not a perf.data file (no PERFILE2 at its start)');
      if (reader.size() !== FILE_HEADER_BYTES)
        throw new FormatError('a perf.data file in pipe mode or of an old version');
      const entryBytes = reader.size();
      const attrs = { offset: reader.size(), size: reader.size() };
      const data = { offset: reader.size(), size: reader.size() };
      reader.skip(SECTION_BYTES);
      const features = this.#features(header.subarray(reader.offset), data.offset + data.size, stat.size);
      this.finished = data.size > 0 || features.length > 0;
      this.info = decodeFeatures(features);
      this.events = this.#readEvents(entryBytes, attrs, stat.size);
      this.#identified = howIdentified(this.events);
      this.#eventOfId = new Map(this.events.flatMap((event, index) => event.ids.map((id) => [id, index] as const)));
      const end = this.finished ? data.offset + data.size : stat.size;
      if (end > stat.size) throw new FormatError(`records end at ${end}, beyond the end of the file at ${stat.size}`);
      this.#data = { offset: data.offset, end };
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.#fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Decodes every record, in file order, which is not that of time. The bytes that a record refers to (`raw`, `body`,
   * `stackUser`) are valid until the next record.
   */
  *records(): Generator<StoredRecord, void, undefined> {
    for (const raw of this.#rawRecords()) {
      const early = this.#identified === 'by-identifier' ? this.#eventOf(identifierOf(raw)) : 0;
      const attr = this.events[early]?.attr;
      if (attr === undefined) continue;
      const record = decodeRecord(raw, attr);
      const event = this.#identified === 'by-id' && record.kind !== 'other' ? this.#eventOf(record.id) : early;
      yield { event, record };
    }
  }

  #eventOf(id: bigint | undefined): number {
    // Synthesized records have no id: they use the first event's layout.
    return (id === undefined ? undefined : this.#eventOfId.get(id)) ?? 0;
  }

  *#rawRecords(): Generator<RawRecord, void, undefined> {
    const window = Buffer.alloc(WINDOW_BYTES);
    let position = this.#data.offset;
    while (position < this.#data.end) {
      const wanted = Math.min(window.length, this.#data.end - position);
      const length = readSync(this.#fd, window, 0, wanted, position);
      if (length === 0) throw new FormatError(`the file was cut short at ${position} while it was read`);
      let offset = 0;
      let beyond = 0;
      while (offset + RECORD_HEADER_BYTES <= length) {
        const type = window.readUInt32LE(offset);
        const size = window.readUInt16LE(offset + 6);
        if (size < RECORD_HEADER_BYTES) throw new FormatError(`record of ${size} bytes at ${position + offset}`);
        if (offset + size > length) break;
        if (type === RecordType.COMPRESSED || type === RecordType.COMPRESSED2)
          throw new FormatError('compressed records are not supported; record without -z');
        const body = window.subarray(offset + RECORD_HEADER_BYTES, offset + size);
        offset += size;
        if (type === RecordType.AUXTRACE) {
          // The trace itself follows the record; its length is the first field of the body.
          beyond = new ByteReader(body, 'PERF_RECORD_AUXTRACE').size();
          break;
        }
        yield { type, misc: window.readUInt16LE(offset - size + 4), body };
      }
      if (offset === 0) {
        if (!this.finished) return;
        throw new FormatError(`the record at ${position} extends beyond the end of the records`);
      }
      position += offset + beyond;
    }
  }

  #readEvents(entryBytes: number, attrs: { offset: number; size: number }, fileBytes: number): StoredEvent[] {
    if (attrs.size > MAX_ATTR_BYTES) throw new FormatError(`attrs of ${attrs.size} bytes`);
    if (entryBytes <= SECTION_BYTES || attrs.size === 0 || attrs.size % entryBytes !== 0)
      throw new FormatError(`attrs of ${attrs.size} bytes in entries of ${entryBytes}`);
    const table = new ByteReader(this.#section(attrs.offset, attrs.size, fileBytes, 'attrs'), 'attrs');
    const names = this.info.eventNames ?? [];
    let idBytes = 0;
    return Array.from({ length: attrs.size / entryBytes }, (_, index) => {
      const attr = viewAttr(table.slice(entryBytes - SECTION_BYTES));
      const [offset, size] = [table.size(), table.size()];
      idBytes += size;
      if (size % 8 !== 0 || idBytes > MAX_ID_BYTES) throw new FormatError(`ids of ${size} bytes`);
      const ids = new ByteReader(this.#section(offset, size, fileBytes, 'ids'), 'ids');
      return {
        name: names[index] ?? nameOf(attr, index),
        attr,
        ids: Array.from({ length: size / 8 }, () => ids.u64()),
      };
    });
  }

  #features(bitmap: Uint8Array, start: number, fileBytes: number): FeatureSection[] {
    const known: readonly number[] = Object.values(Feature);
    const bits = Array.from({ length: FEATURE_BITS }, (_, bit) => bit).filter(
      (bit) => (((bitmap[bit >> 3] ?? 0) >> (bit & 7)) & 1) === 1,
    );
    const table = new ByteReader(
      this.#section(start, bits.length * SECTION_BYTES, fileBytes, 'feature table'),
      'feature table',
    );
    const sections: FeatureSection[] = [];
    for (const bit of bits) {
      const [offset, size] = [table.size(), table.size()];
      if (!known.includes(bit) || bit === Feature.TRACING_DATA) continue;
      if (size > MAX_FEATURE_BYTES) throw new FormatError(`feature section ${bit} of ${size} bytes`);
      sections.push([bit, this.#section(offset, size, fileBytes, `feature section ${bit}`)]);
    }
    return sections;
  }

  #section(offset: number, size: number, fileBytes: number, what: string): Uint8Array {
    if (offset + size > fileBytes)
      throw new FormatError(`${what}: ${size} bytes at ${offset}, the file has ${fileBytes}`);
    const bytes = Buffer.alloc(size);
    for (let done = 0; done < size;) {
      const count = readSync(this.#fd, bytes, done, size - done, offset + done);
      if (count === 0) throw new FormatError(`${what}: the file was cut short while it was read`);
      done += count;
    }
    return bytes;
  }
}

/** Name of an event by its attr, where the file has no names; raw events and tracepoints then have numbers. */
function nameOf(attr: AttrView, index: number): string {
  try {
    return eventName(decodeAttr(attr.bytes));
  } catch (error) {
    // The attr has bits that this project does not support.
    if (error instanceof BrokerError) return `event ${index}`;
    throw error;
  }
}

/**
 * Chooses how to assign records to events. PERF_SAMPLE_IDENTIFIER has the same position for every event; PERF_SAMPLE_ID
 * only when all events have the same sample layout.
 */
function howIdentified(events: readonly StoredEvent[]): 'alone' | 'by-identifier' | 'by-id' {
  const types = events.map((event) => event.attr.sampleType);
  if (types.every((type) => (type & SampleBit.IDENTIFIER) !== 0n)) return events.length > 1 ? 'by-identifier' : 'alone';
  if (types.length === 1) return 'alone';
  if (types.every((type) => type === types[0] && (type & SampleBit.ID) !== 0n)) return 'by-id';
  throw new FormatError('several events without PERF_SAMPLE_IDENTIFIER: their records cannot be distinguished');
}
