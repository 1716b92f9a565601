import { native, READABLE, type Fd, type Poller } from '../native.js';

export interface AcceptorOptions {
  /** Listening, non-blocking; owned by the acceptor from now on. */
  readonly listener: Fd;
  /** Gets each connection, and owns it. */
  readonly onSocket: (socket: Fd) => void;
  /** No connection could be taken: out of fds or memory. It is tried again a little later. */
  readonly onError: (error: Error) => void;
  /** Monotonic, milliseconds. */
  readonly now?: () => number;
}

/** Connections taken from the backlog before others get their turn on the event loop. */
const ACCEPTS_PER_TURN = 32;
/** The same in time, should one of them take longer than it ought to. */
const TURN_MS = 2;
const RETRY_MS = 100;

/** Takes connections from a listening socket as they come, until it is closed. */
export class Acceptor {
  readonly #options: AcceptorOptions;
  readonly #now: () => number;
  readonly #poller: Poller;
  #closed = false;

  constructor(options: AcceptorOptions) {
    this.#options = options;
    this.#now = options.now ?? ((): number => performance.now());
    this.#poller = native.createPoller(options.listener, () => this.take(ACCEPTS_PER_TURN, TURN_MS));
    this.#poller.start(READABLE);
  }

  /** Takes the connections in the backlog: at most `most`, and for no longer than `ms` where it is given. */
  take(most: number, ms?: number): void {
    const { listener, onSocket, onError } = this.#options;
    const end = ms === undefined ? Infinity : this.#now() + ms;
    for (let count = 0; count < most && (count === 0 || this.#now() < end); count++) {
      let socket: Fd | null;
      try {
        socket = native.accept(listener);
      } catch (error) {
        onError(error as Error);
        // The backlog waits. Polling on would spin.
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

  /** Takes no more: who is in the backlog stays there where somebody else holds the listener, too, and is refused else. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#poller.close();
    native.close(this.#options.listener);
  }
}
