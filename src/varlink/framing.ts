/**
 * Varlink on a byte stream: JSON texts, each ended by a NUL byte, and which fds belong to which of them. No I/O here.
 *
 * The rule for fds: Linux attaches SCM_RIGHTS to the first byte of the sendmsg(2) that carried them, and a recvmsg(2)
 * on a stream socket goes no further than the buffer (skb) whose fds it delivered (net/unix/af_unix.c,
 * unix_stream_read_generic). Bytes of earlier sends may come before in the same read, so the read's *last* byte is the
 * one that certainly belongs to the send with the fds: **the fds of a read belong to the message in which its last byte
 * lies.** A sender must therefore put a message that carries fds into a sendmsg of its own; the rest of a message too
 * long for the socket buffer follows without fds.
 */

/** The peer broke the framing: there is no way to go on, the connection must be closed. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

export interface Frame {
  /** The message without its NUL; valid until the next call of `push`. */
  readonly bytes: Uint8Array;
  readonly fds: number[];
}

export interface FrameLimits {
  /** Bytes of one message, its NUL not counted. */
  readonly messageBytes: number;
  readonly maxFdsPerMessage: number;
}

const NUL = 0;
const EMPTY = new Uint8Array(0);

/**
 * Reassembles frames from reads. Call `next` until it returns null after each `push`: what is buffered is then less
 * than one message, and never more than the limits. Holds no memory while nothing is buffered.
 */
export class FrameReader {
  readonly #limits: FrameLimits;
  #buffer: Uint8Array = EMPTY;
  #start = 0;
  #end = 0;
  /** Bytes after `#start` that are known to hold no NUL. */
  #searched = 0;
  /** Fds that came with a read, and the position of the read's last byte, counted from `#start`. */
  #attached: { last: number; readonly fds: readonly number[] }[] = [];

  constructor(limits: FrameLimits) {
    this.#limits = limits;
  }

  /** Bytes that wait, of complete messages or of one that has begun. */
  get buffered(): number {
    return this.#end - this.#start;
  }

  /** One read. The bytes are copied, the fds are owned by the reader until `next` or `takeFds` gives them out. */
  push(bytes: Uint8Array, fds: readonly number[]): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#end);
    this.#end += bytes.length;
    if (fds.length > 0) this.#attached.push({ last: this.buffered - 1, fds });
  }

  /**
   * The next complete message, or null when more bytes are needed.
   * @throws ProtocolError on a message that is empty, too long, or carries too many fds; `takeFds` has its fds then.
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

  /** Every fd that was not given out yet; the caller owns them now. */
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

  /** Makes room for so many bytes at the end: moves to the front, or doubles, so that a byte is copied O(1) times. */
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

/** One message as bytes, NUL included. JSON escapes control characters, so no other NUL is in it. */
export function encodeFrame(value: object): Uint8Array {
  return Buffer.from(`${JSON.stringify(value)}\0`, 'utf8');
}
