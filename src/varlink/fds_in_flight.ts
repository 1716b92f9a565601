import { native, type Fd, type LaneUser } from '../native.js';

/** While a closed connection's fds are unread; not otherwise. */
const REFRESH_MS = 1000;

/**
 * Fds that were sent over some sockets and not yet read. The kernel counts them against the *sender's* user, over all
 * its sockets (unix(7), ETOOMANYREFS), and goes on counting when the sender has closed its end: a user who lets them
 * lie would use up everybody's. So all connections of one user share one of these, and a connection that is closed over
 * unread fds leaves its socket here, which tells when they are gone.
 */
export class FdsInFlight {
  readonly #limit: number;
  /** Fds sent over each socket since it was last seen to be read empty. */
  readonly #unread = new Map<Fd, number>();
  /** With the lane that each is closed in. */
  readonly #lingering = new Map<Fd, LaneUser>();
  #timer: NodeJS.Timeout | null = null;
  #total = 0;

  /** @param limit fds in flight at a time; a single message may go beyond it when nothing else is in flight */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Closed connections whose peer keeps unread fds in its socket. */
  get lingering(): number {
    this.#refresh();
    return this.#lingering.size;
  }

  maySend(fds: number): boolean {
    if (fds === 0 || this.#total === 0 || this.#total + fds <= this.#limit) return true;
    this.#refresh();
    return this.#total === 0 || this.#total + fds <= this.#limit;
  }

  sent(socket: Fd, fds: number): void {
    if (fds === 0) return;
    this.#unread.set(socket, (this.#unread.get(socket) ?? 0) + fds);
    this.#total += fds;
  }

  /**
   * The connection has ended.
   * @param lane where `socket` is closed
   * @returns whether `socket` stays here, to be closed when its fds are gone; else it is the caller's to close
   */
  keep(socket: Fd, lane: LaneUser): boolean {
    this.#refresh();
    if (!this.#unread.has(socket)) return false;
    this.#lingering.set(socket, lane);
    // No event says that a peer has read or gone which could not as well be made to come for ever.
    this.#timer ??= setInterval(() => this.#refresh(), REFRESH_MS).unref();
    return true;
  }

  #refresh(): void {
    for (const socket of [...this.#unread.keys()]) {
      if (native.unreadBytes(socket) > 0) continue;
      this.#drop(socket);
      const lane = this.#lingering.get(socket);
      if (lane !== undefined) native.closeConnection(lane, socket);
      this.#lingering.delete(socket);
    }
    if (this.#timer === null || this.#lingering.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  #drop(socket: Fd): void {
    this.#total -= this.#unread.get(socket) ?? 0;
    this.#unread.delete(socket);
  }
}
