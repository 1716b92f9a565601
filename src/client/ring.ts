import { setImmediate as nextTurn } from 'node:timers/promises';
import { native, READABLE, type Fd, type Poller, type Ring } from '../native.js';

/** One perf record (enum perf_event_type, include/uapi/linux/perf_event.h). */
export interface PerfRecord {
  /** PERF_RECORD_*: 9 is a sample. */
  readonly type: number;
  /** PERF_RECORD_MISC_* bits. */
  readonly misc: number;
  /** What follows the 8-byte header, in host byte order. A view of memory that nobody writes again. */
  readonly body: Uint8Array;
}

/** Bytes that one `read` takes at most. */
const CHUNK_BYTES = 256 * 1024;
const HEADER_BYTES = 8;

/**
 * Reads the records of one ring buffer in JavaScript: whole, in order, across the wrap. What the kernel had to drop is
 * counted in `lost` and also stands in the stream as PERF_RECORD_LOST.
 *
 * ```ts
 * const reader = new RingReader(event.fd, 64);
 * for await (const record of reader) if (record.type === 9) samples++;
 * reader.close();
 * ```
 * The loop ends when every event of the ring has ended (its tasks have exited) or after close().
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
   * @throws NativeError EPERM: the memlock limit; EINVAL: the ring is mapped at another size, or can not be mapped
   */
  constructor(fd: Fd, pages: number) {
    this.#ring = native.createRing(fd, pages);
    try {
      this.#poller = native.createPoller(this.#ring.pollFd, () => {
        this.#onReadable();
      });
    } catch (error) {
      this.#ring.close();
      throw error;
    }
  }

  /** Lets `fd` record into this ring, too. The caller keeps it open until close(). EINVAL: another cpu or clock. */
  addEvent(fd: Fd): void {
    this.#ring.addEvent(fd);
    this.#ended = false;
  }

  /** True when no more records can come: every event has ended and everything was read. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Records that the kernel dropped for want of room, as far as LOST records that were read tell. */
  get lost(): bigint {
    return this.#lost;
  }

  /**
   * What is in the ring now, at most 256 KiB of it; empty when there is nothing or after close(). Never waits.
   * @throws NativeError EBADMSG when the ring holds what is no record
   */
  read(): PerfRecord[] {
    if (this.#closed) return [];
    const { bytes, lost, ended } = this.#ring.read(this.#chunk);
    this.#ended = ended;
    this.#lost += lost;
    return parseRecords(this.#chunk.slice(0, bytes));
  }

  /** Waits for records until there can be no more. Leaving the loop early does not close the reader. */
  async *[Symbol.asyncIterator](): AsyncGenerator<PerfRecord, void, undefined> {
    while (!this.#closed) {
      const records = this.read();
      yield* records;
      if (records.length > 0) {
        // A ring that fills faster than it is read must not keep the event loop to itself.
        await nextTurn();
      } else if (this.#ended) {
        return;
      } else {
        await this.#untilReadable();
      }
    }
  }

  /** Unmaps the ring. Idempotent; a loop that waits ends. The fds stay the caller's. */
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

/** The native side has checked that `bytes` holds whole records. Its buffer is its own and 8-byte aligned. */
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
