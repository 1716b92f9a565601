import {
  HANGUP,
  native,
  OWN_LANE,
  READABLE,
  WRITABLE,
  type Fd,
  type LaneUser,
  type NativeError,
  type Poller,
} from '../native.js';
import { closeFds } from './close_fds.js';
import { encodeFrame, FrameReader, ProtocolError, type Frame } from './framing.js';
import { parseJsonObject } from './json.js';
import { FdsInFlight } from './fds_in_flight.js';
import { SendQueue } from './send_queue.js';

/** Detail of a connection that ended because the fds of a message did not fit into this process, or into the message. */
export const FDS_TRUNCATED = 'fds were truncated';

export interface ConnectionLimits {
  /** Maximum bytes of an incoming message. */
  readonly messageBytes: number;
  /** Maximum fds of an incoming message. */
  readonly maxFdsPerMessage: number;
  /** Maximum nesting of arrays and objects in an incoming message. */
  readonly depth: number;
  /** Maximum number of values in an incoming message, see {@link parseJsonObject}. Default: no limit besides its bytes. */
  readonly values?: number;
  /** Maximum bytes that wait for a peer that does not read. */
  readonly queuedBytes: number;
  /** Maximum fds that wait for a peer that does not read. */
  readonly queuedFds: number;
  /**
   * While more bytes than this wait for the peer, none of its messages is delivered. Default: no limit. For servers: a client that
   * sends calls but never reads then has one reply waiting, not `queuedBytes` of them.
   */
  readonly deliverBelowBytes?: number;
  /** Maximum fds in the socket that are sent but not read; more of them wait in the queue. Default: 1,024. */
  readonly unreadFds?: number;
  /**
   * While more fds than this, sent earlier by the peer's user, wait to be closed, any further data from the peer ends the connection.
   * Default: no limit.
   */
  readonly unclosedFds?: number;
  /** Maximum milliseconds from the first byte of a message to its last, while this side reads. Default: 10,000. */
  readonly messageMs?: number;
  /** Maximum milliseconds without progress while data waits for the peer. Default: 30,000. */
  readonly stallMs?: number;
}

/** One message. Its receiver owns the fds. */
export interface Message {
  readonly value: Record<string, unknown>;
  readonly fds: Fd[];
}

export interface CloseReason {
  /**
   * eof: the peer closed the connection or exited; error: an unexpected errno; protocol: the peer sent an invalid message, too many
   * bytes or fds, or sent too slowly; backpressure: the peer does not read; closed: `close()` was called.
   */
  readonly kind: 'eof' | 'error' | 'protocol' | 'backpressure' | 'closed';
  readonly detail: string;
}

export interface ConnectionOptions {
  /** Connected AF_UNIX stream socket, non-blocking; the connection owns it from now on. */
  readonly socket: Fd;
  readonly limits: ConnectionLimits;
  /**
   * For servers: the lane of the peer's user, who can make close(2) block. Default: fds from the peer are closed in {@link OWN_LANE},
   * fds of this side in this thread.
   */
  readonly lane?: LaneUser;
  /** Shared by the connections of one user. Default: a separate one with `limits.unreadFds`. */
  readonly inFlight?: FdsInFlight;
  /**
   * Called with the bytes and the number of fds of each message before it is parsed. When it returns false, the message is dropped,
   * its fds are closed, and the next message waits for the next turn of the event loop; any reply is the callee's to send.
   */
  readonly admit?: (bytes: number, fds: number) => boolean;
  readonly onMessage: (message: Message) => void;
  /** Called once, after the socket and all undelivered fds were closed or passed to the lane. */
  readonly onClose: (reason: CloseReason) => void;
}

/** SCM_MAX_FD (include/net/scm.h). */
const MAX_FDS_PER_SEND = 253;
const DEFAULT_MESSAGE_MS = 10_000;
const DEFAULT_STALL_MS = 30_000;
const DEFAULT_UNREAD_FDS = 1024;
/** Limits for one turn of the event loop, so that other connections get their turn. */
const READS_PER_TURN = 16;
const MESSAGES_PER_TURN = 16;
const RETRY_MS = 10;

/** Shared by all connections: data is copied out immediately after each read. */
const scratch = new Uint8Array(64 * 1024);

/**
 * Varlink messages with fds over one socket. Callbacks run from the event loop, never in the constructor; `close` and a failing
 * `send` call `onClose` synchronously. Timers exist only while a message is partly received or waits to be sent, so an idle connection
 * never wakes the process.
 */
export class Connection {
  readonly #socket: Fd;
  /** Lane for fds that this side sends; null: they are closed in this thread. */
  readonly #lane: LaneUser | null;
  readonly #limits: ConnectionLimits;
  readonly #admit: ((bytes: number, fds: number) => boolean) | undefined;
  readonly #onMessage: (message: Message) => void;
  readonly #onClose: (reason: CloseReason) => void;
  readonly #poller: Poller;
  readonly #reader: FrameReader;
  readonly #queue: SendQueue;
  readonly #shared: FdsInFlight | undefined;
  #interest = 0;
  #paused = false;
  #watchingHangup = false;
  #closed = false;
  /** Set when the peer has stopped writing. Queued messages are still sent. */
  #ended: CloseReason | null = null;
  #delivering = false;
  #nextTurn: NodeJS.Immediate | null = null;
  #messageTimer: NodeJS.Timeout | null = null;
  #stallTimer: NodeJS.Timeout | null = null;
  #retryTimer: NodeJS.Timeout | null = null;

  constructor({ socket, lane, limits, inFlight, admit, onMessage, onClose }: ConnectionOptions) {
    this.#socket = socket;
    this.#lane = lane ?? null;
    this.#limits = limits;
    this.#admit = admit;
    this.#onMessage = onMessage;
    this.#onClose = onClose;
    this.#reader = new FrameReader(limits);
    this.#shared = inFlight;
    this.#queue = new SendQueue(inFlight ?? new FdsInFlight(limits.unreadFds ?? DEFAULT_UNREAD_FDS), this.#lane);
    this.#poller = native.createPoller(socket, (status, events) => this.#onReady(status, events));
    this.#updateInterest();
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** True while a sent message waits for the peer to read. */
  get sending(): boolean {
    return !this.#closed && !this.#queue.empty;
  }

  /**
   * Sends one message. Unless `lent`, it consumes `fds` in all cases: they are closed when they were sent or cannot be sent.
   * @param lent the caller keeps the fds and may close them when this call returns
   * @returns false when the connection is closed: before, or by this call (the peer is gone, or does not read)
   * @throws TypeError, RangeError when the value is not JSON or there are more than 253 fds
   */
  send(value: object, fds: readonly Fd[] = [], lent = false): boolean {
    const bytes = this.#closed ? null : this.#encode(value, fds, lent);
    if (bytes === null) {
      if (!lent) this.closeFds(fds);
      return false;
    }
    const idle = this.#queue.empty;
    this.#queue.push(bytes, fds, lent);
    if (idle) this.#flush();
    if (lent) this.#ownFds();
    if (this.#queue.bytes > this.#limits.queuedBytes || this.#queue.fds > this.#limits.queuedFds) {
      this.#finish({
        kind: 'backpressure',
        detail: `${this.#queue.bytes} bytes and ${this.#queue.fds} fds wait for the peer`,
      });
    }
    return !this.#closed;
  }

  /** Stops reading and delivering until `resume`. The kernel's socket buffer then blocks the peer. */
  pause(): void {
    this.#paused = true;
    if (this.#delivering) return; // #deliver updates both when it ends
    this.#updateTimer();
    this.#updateInterest();
  }

  /**
   * Ends the paused connection, with its unread messages, if the peer closes it before `resume`. A peer that has only stopped
   * writing still waits for its reply and is kept.
   */
  watchHangup(): void {
    this.#watchingHangup = true;
    this.#updateInterest();
  }

  /** Continues after `pause`. Buffered messages are delivered in a later turn of the event loop. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#watchingHangup = false;
    if (this.#closed || this.#delivering) return;
    if (this.#reader.buffered > 0) this.#deliverNextTurn();
    this.#updateInterest();
  }

  /** Closes the connection and drops unsent messages. Idempotent. */
  close(): void {
    this.#finish({ kind: 'closed', detail: 'closed by this side' });
  }

  /** Closes fds of this side that are not sent. */
  closeFds(fds: readonly Fd[]): void {
    closeFds(fds, this.#lane);
  }

  /** Lane for fds that the peer sent, and for its socket. */
  get #foreignLane(): LaneUser {
    return this.#lane ?? OWN_LANE;
  }

  #closeForeign(fds: readonly Fd[]): void {
    native.closeForeign(this.#foreignLane, fds);
  }

  #ownFds(): void {
    try {
      this.#queue.ownFds();
    } catch (error) {
      this.#finish({ kind: 'error', detail: (error as Error).message });
    }
  }

  #encode(value: object, fds: readonly Fd[], lent: boolean): Uint8Array {
    try {
      if (fds.length > MAX_FDS_PER_SEND)
        throw new RangeError(`${fds.length} fds in one message; at most ${MAX_FDS_PER_SEND}`);
      return encodeFrame(value);
    } catch (error) {
      if (!lent) this.closeFds(fds);
      throw error;
    }
  }

  #onReady(status: number, events: number): void {
    // libuv reports POLLERR as a status and stops watching: the peer closed with unread data in its buffer. Messages that it sent
    // before can still be read.
    if (status < 0) this.#read();
    if (status < 0) return this.#finish({ kind: 'eof', detail: 'the peer closed without reading everything' });
    if ((events & HANGUP) !== 0) return this.#finish({ kind: 'eof', detail: 'the peer closed' });
    if ((events & WRITABLE) !== 0) this.#flush();
    if ((events & READABLE) !== 0) this.#read();
    this.#updateInterest();
  }

  /** True while the peer must read before more of its messages are delivered. */
  get #congested(): boolean {
    return this.#queue.bytes > (this.#limits.deliverBelowBytes ?? Infinity);
  }

  get #reading(): boolean {
    return !this.#closed && !this.#paused && !this.#congested && this.#ended === null && this.#nextTurn === null;
  }

  #read(): void {
    for (let reads = 0; reads < READS_PER_TURN && this.#reading; reads++) {
      // Checked before reading: fds in a message show only when it is read, and fds that exceed this process's limit would be closed
      // in this thread.
      if (this.#mayNotSend)
        return this.#finish({ kind: 'backpressure', detail: `${this.#unclosed} fds of the peer are not closed yet` });
      const received = this.#receive();
      if (received === null) return;
      if (received.bytes === 0) return this.#end(received.fds);
      this.#reader.push(scratch.subarray(0, received.bytes), received.fds);
      this.#deliver();
      // A short read: the socket is probably empty. If not, the poller reports it again.
      if (received.bytes < scratch.length && received.fds.length === 0) return;
    }
  }

  get #unclosed(): number {
    return native.foreignFds(this.#foreignLane);
  }

  get #mayNotSend(): boolean {
    return this.#unclosed > (this.#limits.unclosedFds ?? Infinity);
  }

  #receive(): { readonly bytes: number; readonly fds: readonly Fd[] } | null {
    try {
      return native.receiveMessage(this.#socket, scratch);
    } catch (error) {
      const { code, message } = error as NativeError;
      if (code === 'ECONNRESET') this.#finish({ kind: 'eof', detail: 'the peer closed without reading everything' });
      // MSG_CTRUNC: the fds did not fit, into the message or into this process.
      else if (code === 'EMSGSIZE') this.#finish({ kind: 'protocol', detail: FDS_TRUNCATED });
      else this.#finish({ kind: 'error', detail: message });
      return null;
    }
  }

  #end(fds: readonly Fd[]): void {
    this.#closeForeign(fds);
    const detail = this.#reader.buffered > 0 ? 'the peer closed in the middle of a message' : 'the peer closed';
    this.#ended = { kind: 'eof', detail };
    if (this.#queue.empty) this.#finish(this.#ended);
  }

  #deliver(): void {
    this.#delivering = true;
    for (let budget = MESSAGES_PER_TURN; !this.#closed && !this.#paused && !this.#congested; budget--) {
      if (budget === 0) {
        this.#deliverNextTurn();
        break;
      }
      const message = this.#nextMessage();
      if (message === null) break;
      this.#clearMessageTimer();
      if (message === 'dropped') {
        this.#deliverNextTurn();
        break;
      }
      this.#onMessage(message);
    }
    this.#delivering = false;
    this.#updateTimer();
  }

  #nextMessage(): Message | 'dropped' | null {
    let frame: Frame | null = null;
    try {
      frame = this.#reader.next();
      if (frame === null) return null;
      if (this.#admit?.(frame.bytes.length, frame.fds.length) === false) {
        this.#closeForeign(frame.fds);
        return 'dropped';
      }
      const { depth, values = Infinity } = this.#limits;
      return { value: parseJsonObject(frame.bytes, { depth, values }), fds: frame.fds };
    } catch (error) {
      this.#closeForeign(frame?.fds ?? []);
      if (!(error instanceof ProtocolError)) throw error;
      this.#finish({ kind: 'protocol', detail: error.message });
      return null;
    }
  }

  #deliverNextTurn(): void {
    if (this.#closed) return;
    this.#nextTurn ??= setImmediate(() => {
      this.#nextTurn = null;
      this.#deliver();
      this.#updateInterest();
    });
  }

  #flush(): void {
    if (this.#closed) return;
    const progress = this.#queue.flush(this.#socket, () => this.#stallTimer?.refresh());
    if (typeof progress === 'object') {
      const { code, message } = progress.error;
      const gone = code === 'EPIPE' || code === 'ECONNRESET';
      return this.#finish(gone ? { kind: 'eof', detail: 'the peer closed' } : { kind: 'error', detail: message });
    }
    if (progress === 'sent') {
      if (this.#stallTimer !== null) clearTimeout(this.#stallTimer);
      this.#stallTimer = null;
      if (this.#ended !== null) return this.#finish(this.#ended);
    } else {
      this.#stallTimer ??= setTimeout(
        () => this.#finish({ kind: 'backpressure', detail: 'the peer does not read' }),
        this.#limits.stallMs ?? DEFAULT_STALL_MS,
      );
      if (progress === 'fds-in-flight') this.#retryLater();
    }
    if (!this.#paused && !this.#delivering && !this.#congested && this.#reader.buffered > 0) this.#deliverNextTurn();
    this.#updateInterest();
  }

  /** Retries after a pause: the socket is writable, but its user has too many fds in flight. */
  #retryLater(): void {
    this.#retryTimer ??= setTimeout(() => {
      this.#retryTimer = null;
      this.#flush();
    }, RETRY_MS);
  }

  #updateInterest(): void {
    if (this.#closed) return;
    const wanted =
      (this.#reading ? READABLE : 0) |
      (!this.#queue.empty && this.#retryTimer === null ? WRITABLE : 0) |
      (this.#watchingHangup ? HANGUP : 0);
    if (wanted === this.#interest) return;
    this.#interest = wanted;
    if (wanted === 0) this.#poller.stop();
    else this.#poller.start(wanted);
  }

  #updateTimer(): void {
    const partial = this.#reading && this.#reader.buffered > 0;
    if (!partial) return this.#clearMessageTimer();
    this.#messageTimer ??= setTimeout(
      () => this.#finish({ kind: 'protocol', detail: 'a message was not complete in time' }),
      this.#limits.messageMs ?? DEFAULT_MESSAGE_MS,
    );
  }

  #clearMessageTimer(): void {
    if (this.#messageTimer !== null) clearTimeout(this.#messageTimer);
    this.#messageTimer = null;
  }

  #finish(reason: CloseReason): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#poller.close(); // before the fd, whose number may be reused immediately
    this.#clearMessageTimer();
    for (const timer of [this.#stallTimer, this.#retryTimer]) if (timer !== null) clearTimeout(timer);
    if (this.#nextTurn !== null) clearImmediate(this.#nextTurn);
    this.#closeForeign(this.#reader.takeFds());
    this.#queue.clear();
    const lane = this.#foreignLane;
    if (this.#shared?.keep(this.#socket, lane) === true) native.endConnection(this.#socket);
    else native.closeConnection(lane, this.#socket);
    this.#onClose(reason);
  }
}
