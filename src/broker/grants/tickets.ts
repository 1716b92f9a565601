import { randomBytes } from 'node:crypto';
import { brokerError } from '../../model/errors/error_table.js';

/** A ticket's life, seconds. */
export const TICKET_SECONDS = 30;
const MAX_TICKETS_PER_USER = 16;
const MAX_TICKETS = 256;
/** Fds that waiting tickets hold: pidfds and cgroup directories of their targets. */
const MAX_FDS_PER_USER = 256;
const MAX_FDS = 4096;

/** What a ticket stands for. */
export interface Held {
  /** Fds that it keeps open. */
  readonly fds: number;
  /** Called once, when nobody has redeemed it. */
  readonly release: () => void;
}

interface Entry<T> {
  readonly uid: number;
  readonly held: T;
  readonly timer: NodeJS.Timeout;
}

/**
 * Requests that wait to be redeemed, each under 128 random bits: good once, for the uid it was made for, and not for long.
 * A ticket that is unknown, over, used or somebody else's is the same to whoever asks.
 */
export class Tickets<T extends Held> {
  readonly #entries = new Map<string, Entry<T>>();
  readonly #lifetimeMs: number;

  constructor(lifetimeMs: number = TICKET_SECONDS * 1000) {
    this.#lifetimeMs = lifetimeMs;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Takes `held` over, unless it throws. @throws BrokerError QuotaExceeded */
  add(uid: number, held: T): string {
    const all = [...this.#entries.values()];
    const own = all.filter((entry) => entry.uid === uid);
    const fds = (entries: readonly Entry<T>[]): number =>
      entries.reduce((sum, entry) => sum + entry.held.fds, held.fds);
    if (own.length >= MAX_TICKETS_PER_USER || fds(own) > MAX_FDS_PER_USER)
      throw brokerError(
        'QuotaExceeded',
        'tickets',
        `uid ${uid} has ${own.length} of ${MAX_TICKETS_PER_USER} tickets, with this one's ${fds(own)} of ${MAX_FDS_PER_USER} fds`,
      );
    if (all.length >= MAX_TICKETS || fds(all) > MAX_FDS)
      throw brokerError('QuotaExceeded', 'tickets', `all users together have ${all.length} of ${MAX_TICKETS} tickets`);
    const ticket = randomBytes(16).toString('hex');
    const timer = setTimeout(() => {
      this.#entries.delete(ticket);
      held.release();
    }, this.#lifetimeMs);
    this.#entries.set(ticket, { uid, held, timer });
    return ticket;
  }

  /** @returns null for whatever is no ticket of this user that `accepts` wants; else what it stands for, which is the caller's now */
  take<Wanted extends T>(ticket: string, uid: number, accepts: (held: T) => held is Wanted): Wanted | null {
    const entry = this.#entries.get(ticket);
    if (entry?.uid !== uid || !accepts(entry.held)) return null;
    this.#entries.delete(ticket);
    clearTimeout(entry.timer);
    return entry.held;
  }

  /** Releases all of them. */
  clear(): void {
    for (const { timer, held } of this.#entries.values()) {
      clearTimeout(timer);
      held.release();
    }
    this.#entries.clear();
  }
}
