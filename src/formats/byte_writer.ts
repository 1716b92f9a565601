/** A growing buffer of little-endian values. */
export class ByteWriter {
  #bytes: Buffer;
  #length = 0;

  constructor(capacity = 256) {
    this.#bytes = Buffer.alloc(capacity);
  }

  get length(): number {
    return this.#length;
  }

  u16(value: number): this {
    const at = this.#grow(2);
    this.#bytes.writeUInt16LE(value, at);
    return this;
  }

  u32(value: number): this {
    const at = this.#grow(4);
    this.#bytes.writeUInt32LE(value >>> 0, at);
    return this;
  }

  u64(value: bigint | number): this {
    const at = this.#grow(8);
    this.#bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)), at);
    return this;
  }

  raw(bytes: Uint8Array): this {
    const at = this.#grow(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }

  /** Writes text, a NUL, and NULs up to a multiple of `alignment` counted from the text's start. */
  text(value: string, alignment: number): this {
    const bytes = Buffer.from(value, 'utf8');
    this.raw(bytes);
    return this.zeros(alignment - (bytes.length % alignment));
  }

  zeros(count: number): this {
    const start = this.#grow(count);
    this.#bytes.fill(0, start, start + count);
    return this;
  }

  /** Overwrites a u16 written before: the size of a record is known last. */
  patchU16(offset: number, value: number): void {
    this.#bytes.writeUInt16LE(value, offset);
  }

  /** View of the bytes so far, valid until the next write. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  clear(): void {
    this.#length = 0;
  }

  /** May replace the buffer: call this before accessing `this.#bytes`. */
  #grow(count: number): number {
    const start = this.#length;
    const need = start + count;
    if (need > this.#bytes.length) {
      const larger = Buffer.alloc(Math.max(need, this.#bytes.length * 2));
      larger.set(this.#bytes.subarray(0, start));
      this.#bytes = larger;
    }
    this.#length = need;
    return start;
  }
}
