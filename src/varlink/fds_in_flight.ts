import { native, type Fd, type LaneUser } from '../native.js';

/** Interval of checks while the fds of a closed connection are unread. */
const REFRESH_MS = 1000;

/**
 * Fds that were sent over the connections of one user and not read yet. The kernel counts them against the *sender's* user, over all
 * its sockets (unix(7), ETOOMANYREFS), and continues to do so after the sender has closed its end: a user who does not read would use
 * up the limit for all users. All connections of one user therefore share one instance. A connection that is closed with unread fds
 * leaves its socket here, because only the socket shows when they have been read.
 */
export class FdsInFlight {
  readonly #limit: number;
  /** Fds sent over each socket since the peer had last read everything. */
  readonly #unread = new Map<Fd, number>();
  /** Sockets of closed connections, each with the lane that closes it. */
  readonly #lingering = new Map<Fd, LaneUser>();
  #timer: NodeJS.Timeout | null = null;
  #total = 0;

  /** @param limit maximum fds in flight; a single message may exceed it when no other fd is in flight */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Number of closed connections whose peer has unread fds in its socket. */
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
   * Keeps the socket of a closed connection while its fds are unread.
   * @param lane lane that closes `socket`
   * @returns true when `socket` stays here and is closed later; false when the caller must close it
   */
  keep(socket: Fd, lane: LaneUser): boolean {
    this.#refresh();
    if (!this.#unread.has(socket)) return false;
    this.#lingering.set(socket, lane);
    // Polls, because a peer could trigger any event for this as often as it likes.
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
