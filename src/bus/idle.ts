export interface IdleOptions {
  /** Milliseconds; 0: never. */
  readonly afterMs: number;
  /** True while work is under way, or may start without a call. */
  readonly busy: () => boolean;
  readonly onIdle: () => void;
}

/** Calls `onIdle` after a time without activity. Uses one timer, which wakes up once in that time and not for each call. */
export class IdleTimer {
  readonly #options: IdleOptions;
  #last: number = performance.now();
  #timer: NodeJS.Timeout | null = null;

  constructor(options: IdleOptions) {
    this.#options = options;
    if (options.afterMs > 0) this.#wait(options.afterMs);
  }

  /** Records activity. */
  touch(): void {
    this.#last = performance.now();
  }

  /** Idempotent. */
  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #wait(ms: number): void {
    this.#timer = setTimeout(() => this.#check(), ms);
  }

  #check(): void {
    const { afterMs, busy, onIdle } = this.#options;
    if (busy()) this.touch();
    const left = this.#last + afterMs - performance.now();
    if (left > 0) this.#wait(Math.ceil(left));
    else onIdle();
  }
}
