import { Channel } from '../../client/channel.js';
import { native } from '../../native.js';
import type { Grant, WatchGrantsReply } from '../../interfaces/broker_types.js';
import type { Log } from '../log.js';

/** Milliseconds between two attempts to reach a broker that is not there. */
const RETRY_MS = 1000;
/** Milliseconds after the first answer on a new connection in which the broker has told of every grant there is. */
const PRESENT_MS = 1000;

export interface GrantChange {
  readonly change: 'added' | 'removed';
  readonly grant: Grant;
  /** Of a removal: connection, lease, target, revoked, shutdown. */
  readonly reason: string;
}

/**
 * What the broker says of grants that begin and end, for signals, and whether any lives. Connects when it is told that
 * somebody calls, and not by itself: a broker that left for idleness is not started again for this.
 */
export class GrantWatch {
  readonly #socket: string;
  readonly #log: Log;
  readonly #onChange: (change: GrantChange) => void;
  readonly #grants = new Map<string, Grant>();
  /** After a loss, those that may have ended with the broker: ids. */
  #doubtful: Set<string> | null = null;
  #settling: NodeJS.Timeout | null = null;
  #channel: Channel | null = null;
  #lastAttempt = -Infinity;
  #closed = false;

  constructor(socket: string, log: Log, onChange: (change: GrantChange) => void) {
    this.#socket = socket;
    this.#log = log;
    this.#onChange = onChange;
  }

  /** Grants that live, as far as is known. */
  get size(): number {
    return this.#grants.size;
  }

  /** Watches, unless it does already. */
  ensure(): void {
    if (this.#channel === null && !this.#closed && performance.now() - this.#lastAttempt >= RETRY_MS) this.#connect();
  }

  close(): void {
    this.#closed = true;
    if (this.#settling !== null) clearTimeout(this.#settling);
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
        () => 'the broker ended it',
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

  /** A broker that ends takes its grants with it, and one that has cut off a slow reader has not: it is looked at once. */
  #lost(): void {
    if (this.#doubtful === null && this.#grants.size > 0) {
      this.#doubtful = new Set(this.#grants.keys());
      this.#connect();
      if (this.#channel !== null) return;
    }
    this.#doubtful = new Set(this.#grants.keys());
    this.#settle();
    // What there is when somebody calls again is news.
    this.#doubtful = new Set();
  }

  #onReply({ change, grant, reason = '' }: WatchGrantsReply): void {
    if (this.#doubtful !== null) this.#settling ??= setTimeout(() => this.#settle(), PRESENT_MS);
    if (grant === undefined) return;
    this.#doubtful?.delete(grant.id);
    if (change === 'removed') {
      if (this.#grants.delete(grant.id)) this.#onChange({ change, grant, reason });
      return;
    }
    const news = change === 'added' || (this.#doubtful !== null && !this.#grants.has(grant.id));
    this.#grants.set(grant.id, grant);
    if (news) this.#onChange({ change: 'added', grant, reason });
  }

  /** What the broker has not told of again is gone with the one before it. */
  #settle(): void {
    if (this.#settling !== null) clearTimeout(this.#settling);
    this.#settling = null;
    const ended = [...(this.#doubtful ?? [])];
    this.#doubtful = null;
    for (const id of ended) {
      const grant = this.#grants.get(id);
      if (grant !== undefined && this.#grants.delete(id))
        this.#onChange({ change: 'removed', grant, reason: 'shutdown' });
    }
  }
}
