import { setTimeout as delay } from 'node:timers/promises';
import type { CollectorTarget, EventGrant } from '../event_opener.js';
import { whenProcessesEnd } from '../host/processes_end.js';

/** Reason why the broker ended a grant. The broker switches the events off, which does not show in their fds. */
export type GrantEnd = 'lease' | 'revoked';

/** The stretch in which the connection to the broker ended, in seconds since the beginning of the watch. */
export interface LossOfBroker {
  /** The broker was still there. */
  readonly after: number;
  /** It was gone. */
  readonly before: number;
}

/** The broker does not notify a holder of a revoke, and limits how many watches of grants a user may have: so it is polled. */
const POLL_INTERVAL_MS = 2000;
/** Limit on the wait for a broker that does not answer, at the end of a session. */
const ANSWER_TIMEOUT_MS = 1000;
/** Time between the broker's notice of a process's end and ours. */
const EXIT_LAG_MS = 300;

/** Polls whether the broker has ended a grant. A grant that ends with its last target was not ended by the broker. */
export class GrantWatch implements Disposable {
  /** Never resolves when the grant is not ended before the watch is disposed. */
  readonly ended: Promise<GrantEnd>;
  readonly #grant: Pick<EventGrant, 'isLive' | 'isConnected' | 'leaseSeconds'>;
  readonly #disposed = new AbortController();
  readonly #began = performance.now();
  #lastSeen = 0;
  #loss: LossOfBroker | undefined;
  #targetsEnded = false;

  constructor(grant: Pick<EventGrant, 'isLive' | 'isConnected' | 'leaseSeconds'>, targets: readonly CollectorTarget[]) {
    this.#grant = grant;
    const pids = targets.flatMap((target) => ('pid' in target ? [target.pid] : []));
    if (pids.length === targets.length) {
      const watch = whenProcessesEnd(pids);
      this.#disposed.signal.addEventListener('abort', watch.dispose, { once: true });
      void watch.ended.then(() => (this.#targetsEnded = true));
    }
    this.ended = this.#poll();
    this.ended.catch(() => undefined);
  }

  /** Asks the broker once more, for a session that ends for another reason. */
  async wasRevoked(): Promise<boolean> {
    if (this.#targetsEnded || (await this.#isLive())) return false;
    await delay(EXIT_LAG_MS);
    return !this.#targetsEnded;
  }

  /** Asks the broker once more. @returns undefined when it is there, or as long as it may be */
  async lossOfBroker(): Promise<LossOfBroker | undefined> {
    if (this.#loss === undefined) await this.#isLive();
    return this.#loss;
  }

  /** Idempotent. */
  [Symbol.dispose](): void {
    this.#disposed.abort();
  }

  async #isLive(): Promise<boolean> {
    const timer = new AbortController();
    const timeout = delay(ANSWER_TIMEOUT_MS, true, { signal: timer.signal });
    timeout.catch(() => undefined);
    const live = await Promise.race([this.#grant.isLive(), timeout]);
    timer.abort();
    const now = (performance.now() - this.#began) / 1000;
    if (this.#grant.isConnected()) this.#lastSeen = now;
    else this.#loss ??= { after: this.#lastSeen, before: now };
    return live;
  }

  async #poll(): Promise<GrantEnd> {
    const { leaseSeconds } = this.#grant;
    for (;;) {
      const left = leaseSeconds === 0 ? Infinity : leaseSeconds * 1000 - (performance.now() - this.#began);
      if (left <= 0) return 'lease';
      await delay(Math.min(left, POLL_INTERVAL_MS), undefined, { signal: this.#disposed.signal });
      if (left > POLL_INTERVAL_MS && (await this.wasRevoked())) return 'revoked';
    }
  }
}
