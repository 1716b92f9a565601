import { closeSync, fstatSync, ftruncateSync, readSync } from 'node:fs';
import { resizeAttr } from './attr_view.js';
import { ByteWriter } from './byte_writer.js';
import { FILE_HEADER_BYTES, MAGIC, RECORD_HEADER_BYTES, SECTION_BYTES } from './perf_abi.js';
import type { FeatureSection, PerfDataEvent, RecordingInfo } from './perfdata_features.js';
import { encodeFeatures } from './perfdata_features.js';
import { writeFully } from './write_fully.js';

/** Bytes read at once in the search for the last complete record. */
const SCAN_BYTES = 1 << 20;

/**
 * Writes a perf.data file in file mode (PERFILE2; tools/perf/Documentation/perf.data-file-format.txt): header, ids,
 * attrs, then records, then the feature sections. The header is written first and declares no data; {@link finish}
 * corrects it. Other code may also write records through {@link fd}, whose offset is the end of the file.
 */
export class PerfDataWriter implements Disposable {
  /** Owned by the writer. */
  readonly fd: number;
  readonly #events: readonly PerfDataEvent[];
  readonly #attrs: { readonly offset: number; readonly size: number; readonly entryBytes: number };
  readonly #dataOffset: number;
  #closed = false;

  /**
   * @param fd a new, empty, seekable file, open for reading and writing; the writer closes it, even when this throws
   * @throws the system's error
   */
  constructor(fd: number, events: readonly PerfDataEvent[]) {
    this.fd = fd;
    // The header has one size for all entries, so that all attrs get the size of the largest.
    const attrBytes = Math.max(...events.map((event) => event.attr.length));
    this.#events = events.map((event) => ({ ...event, attr: resizeAttr(event.attr, attrBytes) }));
    const ids = new ByteWriter();
    const attrs = new ByteWriter();
    for (const event of this.#events) {
      attrs
        .raw(event.attr)
        .u64(FILE_HEADER_BYTES + ids.length)
        .u64(8 * event.ids.length);
      for (const id of event.ids) ids.u64(id);
    }
    this.#attrs = {
      offset: FILE_HEADER_BYTES + ids.length,
      size: attrs.length,
      entryBytes: attrBytes + SECTION_BYTES,
    };
    this.#dataOffset = this.#attrs.offset + attrs.length;
    try {
      writeFully(fd, this.#header(0, []));
      writeFully(fd, ids.bytes);
      writeFully(fd, attrs.bytes);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Appends complete records, such as synthesized ones. */
  write(records: Uint8Array): void {
    writeFully(this.fd, records);
  }

  /**
   * Completes the file. After a write error (`intact` false), the file may end within a record and the disk may be full:
   * the incomplete record is cut off, and features that do not fit are left out.
   * @returns bytes of records in the file
   * @throws the system's error when even the header cannot be rewritten
   */
  finish(info: RecordingInfo, intact: boolean): number {
    const size = fstatSync(this.fd).size;
    const end = intact ? size : this.#endOfLastRecord(size);
    if (end < size) ftruncateSync(this.fd, end);
    const dataBytes = end - this.#dataOffset;
    const features = encodeFeatures(info, this.#events);
    let written = features;
    try {
      writeFully(this.fd, featureBytes(features, end), end);
    } catch (error) {
      if (intact) throw error;
      ftruncateSync(this.fd, end);
      written = [];
    }
    writeFully(this.fd, this.#header(dataBytes, written), 0);
    return dataBytes;
  }

  /** Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #header(dataBytes: number, features: readonly FeatureSection[]): Uint8Array {
    const bitmap = features.reduce((bits, [bit]) => bits | (1n << BigInt(bit)), 0n);
    return new ByteWriter(FILE_HEADER_BYTES)
      .u64(MAGIC)
      .u64(FILE_HEADER_BYTES)
      .u64(this.#attrs.entryBytes)
      .u64(this.#attrs.offset)
      .u64(this.#attrs.size)
      .u64(this.#dataOffset)
      .u64(dataBytes)
      .zeros(SECTION_BYTES) // event_types: unused since Linux 3.5
      .u64(bitmap)
      .zeros(24).bytes;
  }

  #endOfLastRecord(size: number): number {
    const window = Buffer.alloc(SCAN_BYTES);
    let position = this.#dataOffset;
    for (;;) {
      const length = readSync(this.fd, window, 0, window.length, position);
      let offset = 0;
      while (offset + RECORD_HEADER_BYTES <= length) {
        const bytes = window.readUInt16LE(offset + 6);
        if (bytes < RECORD_HEADER_BYTES || position + offset + bytes > size) return position + offset;
        offset += bytes;
      }
      position += offset;
      if (offset === 0) return position;
    }
  }
}

function featureBytes(features: readonly FeatureSection[], start: number): Uint8Array {
  const table = new ByteWriter();
  const contents = new ByteWriter(4096);
  for (const [, content] of features) {
    table.u64(start + features.length * SECTION_BYTES + contents.length).u64(content.length);
    contents.raw(content);
  }
  return table.raw(contents.bytes).bytes;
}
