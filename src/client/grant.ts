import { brokerError } from '../model/errors/error_table.js';
import { BrokerError } from '../model/errors/errors.js';
import type { Fd } from '../native.js';
import type { DowngradedProcess, OpenParameters, OpenReply } from '../interfaces/broker_types.js';
import { closeFds } from '../varlink/close_fds.js';
import type { Reply } from './channel.js';
import { OpenedEvent } from './opened_event.js';

/** Calls that a grant makes through the client that opened it. */
export interface GrantHost {
  /** Reports to the broker that the rings are mapped. */
  mapped(grant: string): Promise<unknown>;
  revoke(grant: string): Promise<unknown>;
  /** Returns the caller's own grants at the broker. */
  list(): Promise<readonly { readonly id: string }[]>;
  /** False when the connection has ended. */
  connected(): boolean;
  /** Called when the grant is closed. */
  forget(grant: Grant): unknown;
}

/** Events that the broker opened for this process. They stay open until `close`; the broker ends the grant with the client's connection. */
export class Grant {
  readonly id: string;
  readonly events: readonly OpenedEvent[];
  /** True when new threads kept appearing while events were attached: events of some threads may be missing. */
  readonly unstable: boolean;
  /** Seconds until the broker ends the grant; 0: no end. */
  readonly leaseSeconds: number;
  /** Capabilities that the target lost before the events were handed over; null when the request had no downgrade. */
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
   * Reports that the rings are mapped, so that the broker can unmap the rings that it mapped in advance. If the broker or the grant is
   * gone, this has already happened: that is not an error, and the events stay usable.
   */
  async mapped(): Promise<void> {
    await unlessGone(this.#host.mapped(this.id));
  }

  /**
   * Returns whether the broker still has the grant. It does not after a revoke, the end of the lease, or the end of the target. If
   * the broker is gone or does not reply, it has disabled no event, and the result is true.
   */
  async isLive(): Promise<boolean> {
    try {
      return (await this.#host.list()).some(({ id }) => id === this.id);
    } catch {
      return true;
    }
  }

  /**
   * Returns false when the connection to the broker is known to have ended; a call shows it. That ends the grant at the broker. A
   * broker that was stopped has switched the events off; one that was killed has not.
   */
  isConnected(): boolean {
    return this.#host.connected();
  }

  /** Closes every event synchronously. Idempotent. */
  closeEvents(): void {
    for (const event of this.events) event.close();
  }

  /** Closes every event, then revokes the grant at the broker. Idempotent. A missing grant or broker is not an error. */
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

async function unlessGone(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    const gone = error instanceof BrokerError && (error.error === 'NoSuchGrant' || error.error === 'Unavailable');
    if (!gone) throw error;
  }
}

/**
 * Builds a grant from the replies to Open. Either every slot becomes an event and every fd without a slot is closed, or all fds are
 * closed.
 * @param request null when this process does not know the request, as with a ticket
 * @throws BrokerError Unavailable when the replies contradict each other
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
      if (grant !== last.grant) throw unexpected('reply that names two grants');
      unstable ||= rest.unstable;
      for (const { fd: index, ...slot } of slots) {
        const fd = reply.fds[index];
        if (fd === undefined || !loose.has(fd)) throw unexpected(`slot whose fd ${index} is missing or used twice`);
        if (
          request !== null &&
          (request.events[slot.event] === undefined || request.targets[slot.target] === undefined)
        )
          throw unexpected('slot of an event or target that was not requested');
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
