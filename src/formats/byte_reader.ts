import { FormatError } from './format_error.js';

/**
 * A cursor over untrusted little-endian bytes. Every read is checked against the end; one that does not fit throws a
 * {@link FormatError} that names `what`, never a RangeError.
 */
export class ByteReader {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  readonly #what: string;
  #offset: number;

  constructor(bytes: Uint8Array, what: string, offset = 0) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#what = what;
    this.#offset = offset;
  }

  get offset(): number {
    return this.#offset;
  }

  get remaining(): number {
    return this.bytes.length - this.#offset;
  }

  skip(length: number): void {
    this.#take(length);
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  i32(): number {
    return this.#view.getInt32(this.#take(4), true);
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true);
  }

  /** Reads a u64 that is an offset, a size or a count; no file has more than 2^53 - 1. */
  size(): number {
    const value = this.u64();
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new FormatError(`${this.#what}: ${value} is not a valid size`);
    return Number(value);
  }

  /** Returns a view, not a copy. */
  slice(length: number): Uint8Array {
    const start = this.#take(length);
    return this.bytes.subarray(start, start + length);
  }

  /** Reads a field of `length` bytes as UTF-8, up to the first NUL. */
  text(length: number): string {
    return textOf(this.slice(length));
  }

  #take(length: number): number {
    const start = this.#offset;
    if (!(length >= 0) || length > this.bytes.length - start)
      throw new FormatError(`${this.#what}: ${length} bytes wanted at ${start} of ${this.bytes.length}`);
    this.#offset = start + length;
    return start;
  }
}

/** Decodes UTF-8 up to the first NUL; invalid bytes become U+FFFD. */
export function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(bytes.buffer, bytes.byteOffset, end < 0 ? bytes.length : end).toString('utf8');
}
