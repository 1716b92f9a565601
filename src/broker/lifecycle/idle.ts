/** Ends a broker that was started for its first client, when there has been nothing to do for long enough. */

import { MAX_TIMER_MS } from '../../common/timer.js';

export interface IdleTimerOptions {
  /** True while the broker has to stay. */
  readonly busy: () => boolean;
  /** Time of the last activity; `performance.now()`. */
  readonly lastActivityMs: () => number;
  /** Ends the process. Called once; it has to stop accepting connections before it returns to the event loop. */
  readonly end: () => void;
}

export class IdleTimer {
  readonly #options: IdleTimerOptions;
  #idleMs = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: IdleTimerOptions) {
    this.#options = options;
  }

  /** May be called again, after a reload. @param seconds 0: never ends */
  start(seconds: number): void {
    this.#idleMs = seconds * 1000;
    this.#arm(this.#idleMs);
  }

  #arm(ms: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = this.#idleMs === 0 ? null : setTimeout(() => this.#poll(), Math.min(ms, MAX_TIMER_MS)).unref();
  }

  /**
   * Reads the time of the last activity, so that activity costs nothing. A ring that is unmapped after its connection has closed is no
   * activity: then the end may take twice as long.
   */
  #poll(): void {
    if (this.#options.busy()) return this.#arm(this.#idleMs);
    const left = this.#options.lastActivityMs() + this.#idleMs - performance.now();
    if (left > 0) return this.#arm(Math.ceil(left));
    this.#timer = null;
    this.#options.end();
  }
}
