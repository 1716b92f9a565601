import { native, READABLE, type Fd, type Poller } from '../native.js';

export interface AcceptorOptions {
  /** Listening, non-blocking; owned by the acceptor from now on. */
  readonly listener: Fd;
  /** Gets each connection, and owns it. */
  readonly onSocket: (socket: Fd) => void;
  /** No connection could be taken: out of fds or memory. It is tried again a little later. */
  readonly onError: (error: Error) => void;
}

/** Connections taken from the backlog before others get their turn on the event loop. */
const ACCEPTS_PER_TURN = 32;
const RETRY_MS = 100;

/** Takes connections from a listening socket as they come, until it is closed. */
export class Acceptor {
  readonly #options: AcceptorOptions;
  readonly #poller: Poller;
  #closed = false;

  constructor(options: AcceptorOptions) {
    this.#options = options;
    this.#poller = native.createPoller(options.listener, () => this.take(ACCEPTS_PER_TURN));
    this.#poller.start(READABLE);
  }

  /** Takes what is in the backlog now, at most so many. */
  take(most: number): void {
    const { listener, onSocket, onError } = this.#options;
    for (let count = 0; count < most; count++) {
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

  /** Takes no more: who is in the backlog stays there where somebody else holds the listener, too, and is refused else. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#poller.close();
    native.close(this.#options.listener);
  }
}
