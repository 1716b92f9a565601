import { setImmediate as nextTurn } from 'node:timers/promises';
import { Rollback } from '../common/rollback.js';
import { native, READABLE, type Fd, type Poller, type Ring } from '../native.js';

/** One perf record (enum perf_event_type, include/uapi/linux/perf_event.h). */
export interface PerfRecord {
  /** PERF_RECORD_*: 9 is a sample. */
  readonly type: number;
  /** PERF_RECORD_MISC_* bits. */
  readonly misc: number;
  /** Bytes after the 8-byte header, in host byte order. A view of memory that is not written again. */
  readonly body: Uint8Array;
}

/** Limit of bytes for one `read`. */
const CHUNK_BYTES = 256 * 1024;
const HEADER_BYTES = 8;

/**
 * Reads whole records of one ring buffer in order. Records that the kernel dropped are counted in `lost`; the stream also has the
 * kernel's PERF_RECORD_LOST.
 *
 * ```ts
 * const reader = new RingReader(event.fd, 64);
 * for await (const record of reader) if (record.type === 9) samples++;
 * reader.close();
 * ```
 * The loop ends when all tasks of the ring's events have exited, or after close().
 */
export class RingReader {
  readonly #ring: Ring;
  readonly #poller: Poller;
  readonly #chunk = new Uint8Array(CHUNK_BYTES);
  #readable: Promise<void> | undefined;
  #resolveReadable: () => void = () => undefined;
  #ended = false;
  #closed = false;
  #lost = 0n;

  /**
   * @param fd an event that was opened for sampling; the caller keeps it open until close()
   * @param pages data pages of the ring, a power of two
   * @throws NativeError EPERM: the memlock limit; EINVAL: the ring is already mapped at another size, or cannot be mapped
   */
  constructor(fd: Fd, pages: number) {
    this.#ring = native.createRing(fd, pages);
    using mapped = new Rollback(() => this.#ring.close());
    this.#poller = native.createPoller(this.#ring.pollFd, () => {
      this.#onReadable();
    });
    mapped.keep();
  }

  /** Lets `fd` also record into this ring. The caller keeps it open until close(). EINVAL: another cpu or clock. */
  addEvent(fd: Fd): void {
    this.#ring.addEvent(fd);
    this.#ended = false;
  }

  /** True when no more records can arrive: all events have ended and every record was read. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Number of records that the kernel dropped because the ring was full, according to the LOST records read so far. */
  get lost(): bigint {
    return this.#lost;
  }

  /**
   * Returns the records in the ring, at most 256 KiB; none after close(). Never waits.
   * @throws NativeError EBADMSG when the ring contains bytes that are not a record
   */
  read(): PerfRecord[] {
    if (this.#closed) return [];
    const { bytes, lost, ended } = this.#ring.read(this.#chunk);
    this.#ended = ended;
    this.#lost += lost;
    return parseRecords(this.#chunk.slice(0, bytes));
  }

  /** Waits for records until no more can arrive. Leaving the loop early does not close the reader. */
  async *[Symbol.asyncIterator](): AsyncGenerator<PerfRecord, void, undefined> {
    while (!this.#closed) {
      const records = this.read();
      yield* records;
      if (records.length > 0) {
        // A ring that fills faster than it is read must not block the event loop.
        await nextTurn();
      } else if (this.#ended) {
        return;
      } else {
        await this.#untilReadable();
      }
    }
  }

  /** Unmaps the ring and ends a waiting loop. Idempotent. The caller keeps the fds. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#poller.close();
    this.#ring.close();
    this.#resolveReadable();
  }

  #untilReadable(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#readable ??= new Promise((resolve) => {
      this.#resolveReadable = resolve;
      this.#poller.start(READABLE);
    });
    return this.#readable;
  }

  #onReadable(): void {
    this.#poller.stop();
    this.#readable = undefined;
    this.#resolveReadable();
  }
}

/** Splits bytes into records. The native side has checked that they are whole; the buffer is exclusive and 8-byte aligned. */
function parseRecords(bytes: Uint8Array): PerfRecord[] {
  const words = new Uint32Array(bytes.buffer);
  const halves = new Uint16Array(bytes.buffer);
  const records: PerfRecord[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    const size = halves[offset / 2 + 3] ?? 0;
    records.push({
      type: words[offset / 4] ?? 0,
      misc: halves[offset / 2 + 2] ?? 0,
      body: bytes.subarray(offset + HEADER_BYTES, offset + size),
    });
    offset += size;
  }
  return records;
}
