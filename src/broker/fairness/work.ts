/** Main-thread work of one request: its time is measured and charged to the user, and long work is done in turns. */
import { brokerError } from '../../model/errors/error_table.js';
import { threadCpuMs } from './cpu_time.js';
import type { Rates } from './rates.js';
import type { Turns } from './turns.js';

/**
 * Time after which a request yields to the event loop. Other clients wait for that long, and for one target to be read.
 */
const TURN_MS = 1;

/** The client that waits for the work. */
export interface Waiting {
  readonly closed: boolean;
  watchHangup(): unknown;
}

export interface WorkOptions {
  readonly client: Waiting;
  readonly rates: Pick<Rates, 'chargeMs' | 'tokenMs' | 'userOf'>;
  readonly turns: Pick<Turns, 'next'>;
  readonly clocks?: WorkClocks;
}

/** Both in milliseconds, and monotonic. */
export interface WorkClocks {
  readonly now: () => number;
  /**
   * Processor time of this thread: users pay for this. With the other clock, a user that keeps the processors busy would make others pay
   * for the time in which their requests did not run.
   */
  readonly cpu: () => number;
}

const CLOCKS: WorkClocks = { now: () => performance.now(), cpu: threadCpuMs };

export class Work {
  readonly #client: Waiting;
  readonly #rates: WorkOptions['rates'];
  readonly #turns: WorkOptions['turns'];
  readonly #clocks: WorkClocks;
  /** Null: not known yet, or the D-Bus front end, whose own work is not charged. */
  #payer: number | null = null;
  /** Processor time that was used and is not paid for; negative: paid in advance. */
  #dueMs = 0;
  #turnMs = 0;
  #begun: { readonly nowMs: number; readonly cpuMs: number } | null = null;

  constructor({ client, rates, turns, clocks = CLOCKS }: WorkOptions) {
    this.#client = client;
    this.#rates = rates;
    this.#turns = turns;
    this.#clocks = clocks;
  }

  /** @param tokens taken from the user, which pay for time */
  payBy(uid: number, tokens: number): void {
    this.#payer = uid;
    this.#dueMs -= tokens * this.#rates.tokenMs;
  }

  /** Measures what `section` does until it returns: an async function returns at its first pause. Sections may be nested. */
  timed<T>(section: () => T): T {
    if (this.#begun !== null) return section();
    const { now, cpu } = this.#clocks;
    const begun = { nowMs: now(), cpuMs: cpu() };
    this.#begun = begun;
    try {
      return section();
    } finally {
      this.#begun = null;
      this.#turnMs += now() - begun.nowMs;
      this.#dueMs += cpu() - begun.cpuMs;
      this.#charge();
    }
  }

  /** True when {@link nextTurn} should come before anything else is done. */
  get turnIsOver(): boolean {
    const running = this.#begun === null ? 0 : this.#clocks.now() - this.#begun.nowMs;
    return this.#turnMs + running >= TURN_MS;
  }

  /**
   * Yields to the event loop. Until it resolves anything may change: processes and the policy, and the broker may be ending.
   * @throws BrokerError client-gone when the client has disconnected
   */
  async nextTurn(): Promise<void> {
    this.#client.watchHangup();
    await this.#turns.next(this.#payer === null ? FRONT_END : this.#rates.userOf(this.#payer));
    this.#turnMs = 0;
    if (this.#client.closed) throw brokerError('TargetGone', 'client-gone', 'the caller has disconnected');
  }

  #charge(): void {
    if (this.#payer === null || this.#dueMs <= 0) return;
    this.#rates.chargeMs(this.#payer, this.#dueMs);
    this.#dueMs = 0;
  }
}

/** Turns of work that no user pays for. No uid is negative, and this is not SHARED_USER. */
const FRONT_END = -3;
