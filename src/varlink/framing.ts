/**
 * Varlink on a byte stream: JSON texts that each end with a NUL byte, and the assignment of fds to them. No I/O.
 *
 * Rule for fds: Linux attaches SCM_RIGHTS to the first byte of the sendmsg(2) that carried them, and a recvmsg(2)
 * on a stream socket does not continue past the buffer (skb) whose fds it delivered (net/unix/af_unix.c,
 * unix_stream_read_generic). The same read may begin with bytes of earlier sends, so only its *last* byte certainly belongs to the
 * send with the fds: **the fds of a read belong to the message that contains its last byte.** A sender must therefore use a separate
 * sendmsg for a message with fds; the rest of a message that exceeds the socket buffer follows without fds.
 */

/** A violation of the framing by the peer. The connection cannot continue and must be closed. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

export interface Frame {
  /** The message without its NUL; valid until the next `push`. */
  readonly bytes: Uint8Array;
  readonly fds: number[];
}

export interface FrameLimits {
  /** Maximum bytes of a message without its NUL. */
  readonly messageBytes: number;
  readonly maxFdsPerMessage: number;
}

const NUL = 0;
const EMPTY = new Uint8Array(0);

/**
 * Reassembles frames from reads. After each `push`, call `next` until it returns null: the buffer then holds less than one message,
 * and never more than the limits allow. An empty reader uses no memory.
 */
export class FrameReader {
  readonly #limits: FrameLimits;
  #buffer: Uint8Array = EMPTY;
  #start = 0;
  #end = 0;
  /** Number of bytes after `#start` that are known to contain no NUL. */
  #searched = 0;
  /** Fds of each read with the position of its last byte, relative to `#start`. */
  #attached: { last: number; readonly fds: readonly number[] }[] = [];

  constructor(limits: FrameLimits) {
    this.#limits = limits;
  }

  /** Number of buffered bytes of complete and incomplete messages. */
  get buffered(): number {
    return this.#end - this.#start;
  }

  /** Adds the result of one read. Copies the bytes; owns the fds until `next` or `takeFds` returns them. */
  push(bytes: Uint8Array, fds: readonly number[]): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#end);
    this.#end += bytes.length;
    if (fds.length > 0) this.#attached.push({ last: this.buffered - 1, fds });
  }

  /**
   * Returns the next complete message, or null when it needs more bytes.
   * @throws ProtocolError for a message that is empty, too long, or has too many fds; `takeFds` returns its fds.
   */
  next(): Frame | null {
    const nul = this.#buffer.subarray(0, this.#end).indexOf(NUL, this.#start + this.#searched);
    const length = nul === -1 ? this.buffered : nul - this.#start;
    if (length > this.#limits.messageBytes)
      throw new ProtocolError(`message of more than ${this.#limits.messageBytes} bytes`);
    const count = this.#attached.reduce((sum, { last, fds }) => (last <= length ? sum + fds.length : sum), 0);
    if (count > this.#limits.maxFdsPerMessage)
      throw new ProtocolError(`message with more than ${this.#limits.maxFdsPerMessage} fds`);
    if (nul === -1) {
      this.#searched = length;
      return null;
    }
    if (length === 0) throw new ProtocolError('empty message');
    const fds = this.#attached.filter(({ last }) => last <= length).flatMap((read) => read.fds);
    const bytes = this.#buffer.subarray(this.#start, nul);
    this.#consume(length + 1);
    return { bytes, fds };
  }

  /** Returns all fds that `next` has not returned; the caller owns them. */
  takeFds(): number[] {
    const fds = this.#attached.flatMap((read) => read.fds);
    this.#attached = [];
    return fds;
  }

  #consume(bytes: number): void {
    this.#start += bytes;
    this.#searched = 0;
    this.#attached = this.#attached.filter(({ last }) => last >= bytes);
    for (const read of this.#attached) read.last -= bytes;
    if (this.#start === this.#end) {
      this.#buffer = EMPTY;
      this.#start = this.#end = 0;
    }
  }

  /** Makes room for `bytes` bytes at the end: moves the data to the front or doubles the buffer, so each byte is copied O(1) times. */
  #reserve(bytes: number): void {
    if (this.#end + bytes <= this.#buffer.length) return;
    const needed = this.buffered + bytes;
    const target =
      needed * 2 <= this.#buffer.length
        ? this.#buffer
        : new Uint8Array(this.#buffer.length === 0 ? needed : needed * 2);
    target.set(this.#buffer.subarray(this.#start, this.#end), 0);
    this.#buffer = target;
    this.#end -= this.#start;
    this.#start = 0;
  }
}

/** Encodes one message with its NUL. JSON escapes control characters, so the message contains no other NUL. */
export function encodeFrame(value: object): Uint8Array {
  return Buffer.from(`${JSON.stringify(value)}\0`, 'utf8');
}
