/** The socket of a helper process itself: hands it the channels of its workers, and receives one message, that it is ready. */
import { native, READABLE, WRITABLE, type Fd, type NativeError, type Poller } from '../../native.js';
import type { HelperProtocol } from './helper_session.js';

/** A channel whose far end the helper is to get. */
export interface WorkerChannel {
  readonly theirs: Fd;
  /** Called once, when the helper has it. */
  handedOver(): void;
}

/** Time after which a channel is sent again that the kernel did not take. */
const RETRY_MS = 20;
/** A packet of one byte carries a worker's channel. */
const CHANNEL = Uint8Array.of(0);

export class HelperSocket {
  readonly #socket: Fd;
  readonly #protocol: Pick<HelperProtocol<unknown>, 'messageBytes' | 'decode'>;
  readonly #onBroken: (reason: string) => void;
  readonly #poller: Poller;
  /** Not handed over yet: the socket was full. */
  readonly #outbox: WorkerChannel[] = [];
  #interest = READABLE;
  #onReady: (() => void) | null = null;
  #retry: NodeJS.Timeout | null = null;
  #closed = false;

  /** @param onBroken called when the helper is gone or breaks the protocol; has to call {@link close} */
  constructor(
    socket: Fd,
    protocol: Pick<HelperProtocol<unknown>, 'messageBytes' | 'decode'>,
    onBroken: (reason: string) => void,
  ) {
    this.#socket = socket;
    this.#protocol = protocol;
    this.#onBroken = onBroken;
    this.#poller = native.createPoller(socket, () => this.#onEvent());
    this.#poller.start(READABLE);
  }

  /** Resolves when the helper has proved what it holds. */
  ready(): Promise<void> {
    return new Promise((resolve) => {
      this.#onReady = resolve;
    });
  }

  /** {@link flush} sends it. */
  queue(channel: WorkerChannel): void {
    this.#outbox.push(channel);
  }

  /** Sends queued channels, as far as the socket takes them. The others follow when it takes more. */
  flush(): void {
    try {
      for (let channel = this.#outbox[0]; channel !== undefined; channel = this.#outbox[0]) {
        if (native.sendMessage(this.#socket, CHANNEL, [channel.theirs]) === null) break;
        channel.handedOver();
        this.#outbox.shift();
      }
    } catch (error) {
      if ((error as NativeError).code !== 'ETOOMANYREFS') return this.#onBroken(`sendmsg: ${(error as Error).message}`);
      // The kernel counts the fds that all clients have not read. They will be read; the deadline of the request goes on.
      this.#retry ??= setTimeout(() => {
        this.#retry = null;
        this.flush();
      }, RETRY_MS);
      return;
    }
    this.#watch(this.#outbox.length === 0 ? READABLE : READABLE | WRITABLE);
  }

  close(): void {
    this.#closed = true;
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#poller.close();
    native.close(this.#socket);
  }

  /** A poller that is started again is taken off epoll and put back. */
  #watch(interest: number): void {
    if (interest === this.#interest) return;
    this.#interest = interest;
    this.#poller.start(interest);
  }

  #onEvent(): void {
    if (!this.#closed) this.flush();
    if (!this.#closed) this.#receive();
  }

  #receive(): void {
    const { messageBytes, decode } = this.#protocol;
    const buffer = new Uint8Array(messageBytes + 1);
    try {
      const received = native.receiveMessage(this.#socket, buffer);
      if (received === null) return;
      for (const fd of received.fds) native.close(fd);
      if (received.bytes === 0) return this.#onBroken('it closed its socket');
      if (decode(buffer.subarray(0, received.bytes)).serial !== 0 || this.#onReady === null)
        return this.#onBroken('a message that no request asked for');
      this.#onReady();
      this.#onReady = null;
    } catch (error) {
      this.#onBroken((error as Error).message);
    }
  }
}
