import { Channel } from '../client/channel.js';
import { native } from '../native.js';
import type { Grant, WatchGrantsReply } from '../varlink/broker_types.js';
import type { Log } from './log.js';

/** Milliseconds between two attempts to reach a broker that is not there. */
const RETRY_MS = 1000;

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
  #channel: Channel | null = null;
  #lastAttempt = -Infinity;

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
    if (this.#channel !== null || performance.now() - this.#lastAttempt < RETRY_MS) return;
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
        this.#forgetAll();
      })
      .catch((error: unknown) => this.#log.error(`watching grants: ${(error as Error).message}`));
  }

  close(): void {
    this.#channel?.close();
  }

  #onReply({ change, grant, reason = '' }: WatchGrantsReply): void {
    if (grant === undefined) return;
    if (change === 'removed') {
      if (this.#grants.delete(grant.id)) this.#onChange({ change, grant, reason });
      return;
    }
    this.#grants.set(grant.id, grant);
    if (change === 'added') this.#onChange({ change, grant, reason });
  }

  /** The broker is gone, and every grant with it. */
  #forgetAll(): void {
    const ended = [...this.#grants.values()];
    this.#grants.clear();
    for (const grant of ended) this.#onChange({ change: 'removed', grant, reason: 'shutdown' });
  }
}
