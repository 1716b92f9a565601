import { Channel } from '../../client/channel.js';
import { native } from '../../native.js';
import type { Grant, WatchGrantsReply } from '../../interfaces/broker_types.js';
import type { Logger } from '../../common/logger.js';

/** Minimum milliseconds between attempts to connect to an unreachable broker. */
const RETRY_MS = 1000;
/** Milliseconds after the first reply on a new connection within which the broker has reported all existing grants. */
const PRESENT_MS = 1000;

export interface GrantChange {
  readonly change: 'added' | 'removed';
  readonly grant: Grant;
  /** Reason of a removal: connection, lease, target, revoked, shutdown. */
  readonly reason: string;
}

/**
 * Watches grants at the broker, for signals and for the idle check. It connects only when a caller calls, so that it does not start a
 * broker that has exited when idle.
 */
export class GrantWatch {
  readonly #socket: string;
  readonly #log: Logger;
  readonly #onChange: (change: GrantChange) => void;
  readonly #grants = new Map<string, Grant>();
  /** Ids of grants that may have ended with the previous connection. */
  #unconfirmed: Set<string> | null = null;
  #endMissingTimer: NodeJS.Timeout | null = null;
  #channel: Channel | null = null;
  #lastAttempt = -Infinity;
  #closed = false;

  constructor(socket: string, log: Logger, onChange: (change: GrantChange) => void) {
    this.#socket = socket;
    this.#log = log;
    this.#onChange = onChange;
  }

  /** Number of known live grants. */
  get size(): number {
    return this.#grants.size;
  }

  /** Starts watching unless it is already watching. */
  ensure(): void {
    if (this.#channel === null && !this.#closed && performance.now() - this.#lastAttempt >= RETRY_MS) this.#connect();
  }

  close(): void {
    this.#closed = true;
    if (this.#endMissingTimer !== null) clearTimeout(this.#endMissingTimer);
    this.#channel?.close();
  }

  #connect(): void {
    this.#lastAttempt = performance.now();
    let channel: Channel;
    try {
      channel = new Channel(native.connectUnix(this.#socket));
    } catch (error) {
      this.#log.debug(`no grants to watch: ${(error as Error).message}`);
      return;
    }
    this.#channel = channel;
    const onReply = ({ parameters }: { readonly parameters: Readonly<Record<string, unknown>> }): void =>
      this.#onReply(parameters as unknown as WatchGrantsReply);
    channel
      .call('WatchGrants', { all: true }, { more: true, timeoutMs: 0, onReply })
      .then(
        () => 'the broker closed the connection',
        (error: unknown) => (error as Error).message,
      )
      .then((reason) => {
        this.#log.info(`no longer watching grants: ${reason}`);
        channel.close();
        this.#channel = null;
        if (!this.#closed) this.#lost();
      })
      .catch((error: unknown) => this.#log.error(`watching grants: ${(error as Error).message}`));
  }

  /** Reconnects once: grants end with the broker, but survive if the broker only dropped this connection. */
  #lost(): void {
    if (this.#unconfirmed === null && this.#grants.size > 0) {
      this.#unconfirmed = new Set(this.#grants.keys());
      this.#connect();
      if (this.#channel !== null) return;
    }
    this.#unconfirmed = new Set(this.#grants.keys());
    this.#endMissing();
    // Grants that exist at the next connection are reported as new.
    this.#unconfirmed = new Set();
  }

  #onReply({ change, grant, reason = '' }: WatchGrantsReply): void {
    if (this.#unconfirmed !== null) this.#endMissingTimer ??= setTimeout(() => this.#endMissing(), PRESENT_MS);
    if (grant === undefined) return;
    this.#unconfirmed?.delete(grant.id);
    if (change === 'removed') {
      if (this.#grants.delete(grant.id)) this.#onChange({ change, grant, reason });
      return;
    }
    const isNew = change === 'added' || (this.#unconfirmed !== null && !this.#grants.has(grant.id));
    this.#grants.set(grant.id, grant);
    if (isNew) this.#onChange({ change: 'added', grant, reason });
  }

  /** Reports the end of the grants that the broker has not listed again. */
  #endMissing(): void {
    if (this.#endMissingTimer !== null) clearTimeout(this.#endMissingTimer);
    this.#endMissingTimer = null;
    const ended = [...(this.#unconfirmed ?? [])];
    this.#unconfirmed = null;
    for (const id of ended) {
      const grant = this.#grants.get(id);
      if (grant !== undefined && this.#grants.delete(id))
        this.#onChange({ change: 'removed', grant, reason: 'shutdown' });
    }
  }
}
