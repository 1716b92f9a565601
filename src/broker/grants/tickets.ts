import { randomBytes } from 'node:crypto';
import { brokerError } from '../../model/errors/error_table.js';

/** Lifetime of a ticket, seconds. */
export const TICKET_SECONDS = 30;
const MAX_TICKETS_PER_USER = 16;
const MAX_TICKETS = 256;
/** Fds that waiting tickets hold: pidfds and cgroup directories of their targets. */
const MAX_FDS_PER_USER = 256;
const MAX_FDS = 4096;

/** The request behind a ticket. */
export interface TicketPayload {
  /** Fds that it keeps open. */
  readonly fds: number;
  /** Called once, when the ticket was not redeemed. */
  readonly release: () => void;
}

interface Entry {
  readonly uid: number;
  readonly held: TicketPayload;
  readonly timer: NodeJS.Timeout;
}

/**
 * Requests that wait to be redeemed, each under 128 random bits: valid once, for the uid it was made for, and for {@link TICKET_SECONDS}.
 * A caller cannot tell whether a ticket is unknown, expired, used or another user's.
 */
export class Tickets {
  readonly #entries = new Map<string, Entry>();
  readonly #lifetimeMs: number;

  constructor(lifetimeMs: number = TICKET_SECONDS * 1000) {
    this.#lifetimeMs = lifetimeMs;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Owns `held` from now on, unless it throws. @throws BrokerError QuotaExceeded */
  add(uid: number, held: TicketPayload): string {
    const all = [...this.#entries.values()];
    const own = all.filter((entry) => entry.uid === uid);
    const fds = (entries: readonly Entry[]): number => entries.reduce((sum, entry) => sum + entry.held.fds, held.fds);
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

  /** Returns the request of a ticket, which stays valid; null when this user has no such ticket that `accepts` takes. */
  find<Wanted extends TicketPayload>(
    ticket: string,
    uid: number,
    accepts: (held: TicketPayload) => held is Wanted,
  ): Wanted | null {
    const entry = this.#entries.get(ticket);
    return entry?.uid === uid && accepts(entry.held) ? entry.held : null;
  }

  /** Ends a ticket that {@link find} has found. Its request belongs to the caller from now on. */
  redeem(ticket: string): void {
    clearTimeout(this.#entries.get(ticket)?.timer);
    this.#entries.delete(ticket);
  }

  /** Releases every request. */
  clear(): void {
    for (const { timer, held } of this.#entries.values()) {
      clearTimeout(timer);
      held.release();
    }
    this.#entries.clear();
  }
}
