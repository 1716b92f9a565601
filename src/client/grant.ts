import { brokerError } from '../model/errors/error_table.js';
import { BrokerError } from '../model/errors/errors.js';
import type { Fd } from '../native.js';
import type { DowngradedProcess, OpenParameters, OpenReply } from '../interfaces/broker_types.js';
import { closeFds } from '../varlink/close_fds.js';
import type { Reply } from './channel.js';
import { OpenedEvent } from './opened_event.js';

/** What a grant needs from the client that opened it. */
export interface GrantHost {
  /** Tells the broker. */
  mapped(grant: string): Promise<unknown>;
  revoke(grant: string): Promise<unknown>;
  /** One's own grants at the broker. */
  list(): Promise<readonly { readonly id: string }[]>;
  /** The grant is closed. */
  forget(grant: Grant): unknown;
}

/** Events that the broker opened for this process. They live until `close`, and at the broker no longer than the client's connection. */
export class Grant {
  readonly id: string;
  readonly events: readonly OpenedEvent[];
  /** Threads were still being born when the attach gave up: some may be missing. */
  readonly unstable: boolean;
  /** Seconds until the broker ends the grant; 0: no end. */
  readonly leaseSeconds: number;
  /** What the target lost before the events were handed over; null when nothing was asked to be taken. */
  readonly downgraded: DowngradedProcess | null;
  readonly #host: GrantHost;
  #closing: Promise<void> | null = null;

  constructor(host: GrantHost, reply: Omit<OpenReply, 'slots'>, events: readonly OpenedEvent[]) {
    this.#host = host;
    this.id = reply.grant;
    this.unstable = reply.unstable;
    this.leaseSeconds = reply.leaseSeconds;
    this.downgraded = reply.downgraded ?? null;
    this.events = events;
  }

  /**
   * The rings are mapped: the broker lets go of the mappings that it made in advance. A broker or a grant that is gone has let go
   * of them already, and is no error: what was handed over goes on.
   */
  async mapped(): Promise<void> {
    await unlessGone(this.#host.mapped(this.id));
  }

  /**
   * Asks the broker whether it still has the grant: it does not after a revoke, the end of the lease, or that of the target. A
   * broker that is gone, or does not answer now, has switched nothing off, and leaves it live.
   */
  async isLive(): Promise<boolean> {
    try {
      return (await this.#host.list()).some(({ id }) => id === this.id);
    } catch {
      return true;
    }
  }

  /** Closes every event at once, before anything is awaited. Idempotent. */
  closeEvents(): void {
    for (const event of this.events) event.close();
  }

  /** Closes every event, then has the broker revoke the grant. Idempotent; a grant or broker that is gone is no error. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.closeEvents();
    this.#host.forget(this);
    await unlessGone(this.#host.revoke(this.id));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

async function unlessGone(told: Promise<unknown>): Promise<void> {
  try {
    await told;
  } catch (error) {
    const gone = error instanceof BrokerError && (error.error === 'NoSuchGrant' || error.error === 'Unavailable');
    if (!gone) throw error;
  }
}

/**
 * Takes the fds out of the replies to Open. Either every slot becomes an event and every fd that no slot mentions is
 * closed, or all of them are closed.
 * @param request null where this process does not know it, as with a ticket
 * @throws BrokerError Unavailable when the replies contradict themselves
 */
export function grantFromReplies(
  host: GrantHost,
  request: Pick<OpenParameters, 'events' | 'targets'> | null,
  replies: readonly Reply[],
): Grant {
  const loose = new Set<Fd>(replies.flatMap((reply) => reply.fds));
  const events: OpenedEvent[] = [];
  try {
    const last = replies.at(-1)?.parameters as unknown as OpenReply;
    let unstable = false;
    for (const reply of replies) {
      const { grant, slots, ...rest } = reply.parameters as unknown as OpenReply;
      if (grant !== last.grant) throw unexpected('two grants in one answer');
      unstable ||= rest.unstable;
      for (const { fd: index, ...slot } of slots) {
        const fd = reply.fds[index];
        if (fd === undefined || !loose.has(fd)) throw unexpected(`slot with fd ${index}, which is absent or taken`);
        if (
          request !== null &&
          (request.events[slot.event] === undefined || request.targets[slot.target] === undefined)
        )
          throw unexpected('slot of an event or target that was not asked for');
        loose.delete(fd);
        events.push(new OpenedEvent(fd, slot));
      }
    }
    const { downgraded } = (replies[0]?.parameters ?? last) as unknown as OpenReply;
    const { grant, leaseSeconds } = last;
    return new Grant(host, { grant, leaseSeconds, unstable, ...(downgraded && { downgraded }) }, events);
  } catch (error) {
    for (const event of events) event.close();
    throw error;
  } finally {
    closeFds([...loose]);
  }
}

function unexpected(what: string): BrokerError {
  return brokerError('Unavailable', 'internal', `the broker answered Open with a ${what}`);
}
