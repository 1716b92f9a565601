import { native, type Fd, type LaneUser, type NativeError } from '../native.js';
import { closeFds } from './close_fds.js';
import type { FdsInFlight } from './fds_in_flight.js';

interface Outgoing {
  rest: Uint8Array;
  fds: readonly Fd[];
  /** The caller keeps the fds: see {@link SendQueue.ownFds}. */
  lent: boolean;
}

/** Result of an attempt to send. `'busy'`: retry when the socket is writable. `'fds-in-flight'`: retry later. */
export type SendProgress = 'sent' | 'busy' | 'fds-in-flight' | { readonly error: NativeError };

/**
 * Outgoing messages in order, each with its fds. One sendmsg(2) never contains more than one message, so its fds belong to that
 * message (see framing.ts). The fds are sent with the first byte and closed when the kernel has taken them.
 */
export class SendQueue {
  readonly #messages: Outgoing[] = [];
  readonly #inFlight: FdsInFlight;
  readonly #lane: LaneUser | null;
  #bytes = 0;
  #fds = 0;

  /**
   * @param inFlight unread fds of all connections of the peer's user
   * @param lane lane that closes fds, see {@link closeFds}: the peer may hold the only other reference to their file
   */
  constructor(inFlight: FdsInFlight, lane: LaneUser | null) {
    this.#inFlight = inFlight;
    this.#lane = lane;
  }

  get empty(): boolean {
    return this.#messages.length === 0;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get fds(): number {
    return this.#fds;
  }

  push(bytes: Uint8Array, fds: readonly Fd[], lent: boolean): void {
    this.#messages.push({ rest: bytes, fds, lent });
    this.#bytes += bytes.length;
    this.#fds += fds.length;
  }

  /**
   * Sends until the queue is empty or the socket is full.
   * @param onProgress called when at least one byte was sent
   */
  flush(socket: Fd, onProgress: () => void): SendProgress {
    for (let head = this.#messages[0]; head !== undefined; head = this.#messages[0]) {
      const sent = this.#inFlight.maySend(head.fds.length) ? attempt(socket, head) : 'fds-in-flight';
      if (typeof sent !== 'number') return sent;
      onProgress();
      this.#bytes -= sent;
      this.#fds -= head.fds.length;
      this.#inFlight.sent(socket, head.fds.length);
      const { fds, lent } = head;
      head.fds = [];
      head.rest = head.rest.subarray(sent);
      if (head.rest.length === 0) this.#messages.shift();
      if (!lent) closeFds(fds, this.#lane);
    }
    return 'sent';
  }

  /** Replaces unsent lent fds with duplicates. @throws NativeError EMFILE */
  ownFds(): void {
    for (const message of this.#messages) {
      if (!message.lent) continue;
      const lent = message.fds;
      const own: Fd[] = [];
      message.fds = own;
      message.lent = false;
      for (const fd of lent) own.push(native.duplicate(fd));
    }
  }

  /** Drops all messages and closes their unsent fds. */
  clear(): void {
    const fds = this.#messages.flatMap(({ fds: unsent, lent }) => (lent ? [] : unsent));
    this.#messages.length = this.#bytes = this.#fds = 0;
    closeFds(fds, this.#lane);
  }
}

function attempt(socket: Fd, { rest, fds }: Outgoing): number | Exclude<SendProgress, 'sent'> {
  try {
    return native.sendMessage(socket, rest, fds) ?? 'busy';
  } catch (error) {
    // More than RLIMIT_NOFILE fds are in flight, which is temporary.
    if ((error as NativeError).code === 'ETOOMANYREFS') return 'fds-in-flight';
    return { error: error as NativeError };
  }
}
