import { native, type Fd, type LaneUser, type NativeError } from '../native.js';
import { closeFds } from './close_fds.js';
import type { FdsInFlight } from './fds_in_flight.js';

interface Outgoing {
  rest: Uint8Array;
  fds: readonly Fd[];
  /** The fds stay the caller's: see {@link SendQueue.ownFds}. */
  lent: boolean;
}

/** What an attempt to send came to. `'busy'`: try again when the socket is writable. `'fds-in-flight'`: try again later. */
export type SendProgress = 'sent' | 'busy' | 'fds-in-flight' | { readonly error: NativeError };

/**
 * Messages on their way out, in order, each with its fds. One sendmsg(2) never holds more than one
 * message, so that the fds of a message are the only ones in it (see framing.ts); they go with its first byte, and are
 * closed here as soon as the kernel has taken them.
 */
export class SendQueue {
  readonly #messages: Outgoing[] = [];
  readonly #inFlight: FdsInFlight;
  readonly #lane: LaneUser | null;
  #bytes = 0;
  #fds = 0;

  /**
   * @param inFlight what has been sent and not read, here and over other connections of the peer's
   * @param lane where fds are closed, see {@link closeFds}: the peer may have the only other reference to their file
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
   * Sends until nothing is left or the socket takes no more.
   * @param onProgress called when at least one byte went out
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

  /** Replaces lent fds that have not been sent by duplicates. @throws NativeError EMFILE */
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

  /** Forgets every message and closes the fds that were not sent. */
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
    // More than RLIMIT_NOFILE of them in flight. It passes.
    if ((error as NativeError).code === 'ETOOMANYREFS') return 'fds-in-flight';
    return { error: error as NativeError };
  }
}
