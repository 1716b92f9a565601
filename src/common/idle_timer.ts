import { MAX_TIMER_MS } from './timer.js';

export interface IdleTimerOptions {
  /** True while work is under way, or may start without new activity. */
  readonly busy: () => boolean;
  /** Time of the last activity; `performance.now()`. */
  readonly lastActivityMs: () => number;
  /** Called once. A daemon has to stop accepting connections before this returns to the event loop. */
  readonly onIdle: () => void;
}

/** Calls `onIdle` after a time without activity. It polls the time of the last activity, so activity costs nothing. */
export class IdleTimer {
  readonly #options: IdleTimerOptions;
  #idleMs = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: IdleTimerOptions) {
    this.#options = options;
  }

  /** Starts, or starts again with another time. @param seconds 0: never idle */
  start(seconds: number): void {
    this.#idleMs = seconds * 1000;
    this.#arm(this.#idleMs);
  }

  /** Idempotent. */
  stop(): void {
    this.start(0);
  }

  #arm(ms: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = this.#idleMs === 0 ? null : setTimeout(() => this.#poll(), Math.min(ms, MAX_TIMER_MS)).unref();
  }

  /** While it is busy, the whole time starts again: the end of the work need not count as activity. */
  #poll(): void {
    if (this.#options.busy()) return this.#arm(this.#idleMs);
    const left = this.#options.lastActivityMs() + this.#idleMs - performance.now();
    if (left > 0) return this.#arm(Math.ceil(left));
    this.#timer = null;
    this.#options.onIdle();
  }
}
