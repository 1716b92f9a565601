import { setTimeout as delay } from 'node:timers/promises';
import type { CollectorTarget, EventGrant } from '../event_opener.js';
import { whenProcessesEnd } from '../host/processes_end.js';

/** How a grant ends before its events do: the broker switches them off, and nothing of that shows in their fds. */
export type GrantEnd = 'lease' | 'revoked';

/** Nobody tells a holder of a revoke, and a user may watch grants only a few times at once: so the broker is asked. */
const POLL_INTERVAL_MS = 2000;
/** Nobody who stops waits longer for a broker that does not answer. */
const ANSWER_TIMEOUT_MS = 1000;
/** Between what the broker sees of a process's end and what is seen of it here. */
const EXIT_LAG_MS = 300;

/** Looks whether the broker has ended a grant. A grant that ends with its last target process has not been ended by it. */
export class GrantWatch {
  /** Never resolves when the grant is not ended before {@link dispose}. */
  readonly ended: Promise<GrantEnd>;
  readonly #grant: Pick<EventGrant, 'isLive' | 'leaseSeconds'>;
  readonly #disposed = new AbortController();
  #targetsEnded = false;

  constructor(grant: Pick<EventGrant, 'isLive' | 'leaseSeconds'>, targets: readonly CollectorTarget[]) {
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

  /** Asks the broker once more; for one who stops for another reason. */
  async wasRevoked(): Promise<boolean> {
    if (this.#targetsEnded) return false;
    const timer = new AbortController();
    const late = delay(ANSWER_TIMEOUT_MS, true, { signal: timer.signal });
    late.catch(() => undefined);
    const live = await Promise.race([this.#grant.isLive(), late]);
    timer.abort();
    if (live) return false;
    await delay(EXIT_LAG_MS);
    return !this.#targetsEnded;
  }

  /** Idempotent. */
  dispose(): void {
    this.#disposed.abort();
  }

  async #poll(): Promise<GrantEnd> {
    const { leaseSeconds } = this.#grant;
    const began = performance.now();
    for (;;) {
      const left = leaseSeconds === 0 ? Infinity : leaseSeconds * 1000 - (performance.now() - began);
      if (left <= 0) return 'lease';
      await delay(Math.min(left, POLL_INTERVAL_MS), undefined, { signal: this.#disposed.signal });
      if (left > POLL_INTERVAL_MS && (await this.wasRevoked())) return 'revoked';
    }
  }
}
