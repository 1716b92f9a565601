/** Ends a broker that was started for its first client, when there has been nothing to do for long enough. */

import { MAX_TIMER_MS } from '../../common/timer.js';

/** What may keep the broker from ending. */
export interface IdleTimerOptions {
  /** Whether ending now would cost anybody anything. */
  readonly busy: () => boolean;
  /** When something last came or went; `performance.now()`. */
  readonly lastActivityMs: () => number;
  /** Ends the process; called once, and nothing else may run before it has stopped to accept. */
  readonly end: () => void;
}

export class IdleTimer {
  readonly #options: IdleTimerOptions;
  #idleMs = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: IdleTimerOptions) {
    this.#options = options;
  }

  /** @param seconds 0: never ends. May be called again, after a reload */
  start(seconds: number): void {
    this.#idleMs = seconds * 1000;
    this.#arm(this.#idleMs);
  }

  #arm(ms: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = this.#idleMs === 0 ? null : setTimeout(() => this.#poll(), Math.min(ms, MAX_TIMER_MS)).unref();
  }

  /**
   * Looks at the clock, so that coming and going costs nothing. What ends without a connection, a ring that is unmapped
   * at last, is found by the next look: it may take twice as long then.
   */
  #poll(): void {
    if (this.#options.busy()) return this.#arm(this.#idleMs);
    const left = this.#options.lastActivityMs() + this.#idleMs - performance.now();
    if (left > 0) return this.#arm(Math.ceil(left));
    this.#timer = null;
    this.#options.end();
  }
}
