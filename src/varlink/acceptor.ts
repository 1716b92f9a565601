import { native, READABLE, type Fd, type Poller } from '../native.js';

export interface AcceptorOptions {
  /** Listening and non-blocking; the acceptor owns it from now on. */
  readonly listener: Fd;
  /** Receives each connection and owns it. */
  readonly onSocket: (socket: Fd) => void;
  /** Called when no connection can be accepted (no fd or memory left). The acceptor retries after a pause. */
  readonly onError: (error: Error) => void;
  /** Monotonic clock, milliseconds. */
  readonly now?: () => number;
}

/** Limit of connections accepted in one turn of the event loop. */
const ACCEPTS_PER_TURN = 32;
/** Limit of time for the same, in case a connection takes longer than expected. */
const TURN_MS = 2;
const RETRY_MS = 100;

/** Accepts connections from a listening socket until it is closed. */
export class Acceptor {
  readonly #options: AcceptorOptions;
  readonly #now: () => number;
  readonly #poller: Poller;
  #closed = false;

  constructor(options: AcceptorOptions) {
    this.#options = options;
    this.#now = options.now ?? ((): number => performance.now());
    this.#poller = native.createPoller(options.listener, () => this.accept(ACCEPTS_PER_TURN, TURN_MS));
    this.#poller.start(READABLE);
  }

  /** Accepts connections from the backlog: at most `most`, for at most `ms` milliseconds (default: no limit). */
  accept(most: number, ms?: number): void {
    const { listener, onSocket, onError } = this.#options;
    const end = ms === undefined ? Infinity : this.#now() + ms;
    for (let count = 0; count < most && (count === 0 || this.#now() < end); count++) {
      let socket: Fd | null;
      try {
        socket = native.accept(listener);
      } catch (error) {
        onError(error as Error);
        // The backlog stays readable: polling it now would spin.
        this.#poller.stop();
        setTimeout(() => {
          if (!this.#closed) this.#poller.start(READABLE);
        }, RETRY_MS);
        return;
      }
      if (socket === null) return;
      onSocket(socket);
    }
  }

  /**
   * Makes connect(2) fail with ECONNREFUSED from now on (unix_stream_connect, net/unix/af_unix.c), even if the listener stays open here or
   * in another process.
   */
  refuse(): void {
    if (!this.#closed) native.shutdown(this.#options.listener);
  }

  /**
   * Accepts no more connections. Clients in the backlog stay there if another process also holds the listener; otherwise they are
   * refused. Idempotent.
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#poller.close();
    native.close(this.#options.listener);
  }
}
