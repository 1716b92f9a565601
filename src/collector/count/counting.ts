import type { EventSpec } from '../../model/event.js';
import type { CollectorTarget, EventGrant, EventOpener } from '../event_opener.js';

/** Count of one event, summed over its fds. */
export interface Count {
  readonly value: bigint;
  /** Nanoseconds that the event was enabled, and that it was on the counter (perf_event_open(2)), summed over its fds. */
  readonly enabled: bigint;
  readonly running: bigint;
}

/** Estimates the count as if the event had been on the counter all the time. NaN when it never was. */
export function scaled({ value, enabled, running }: Count): number {
  if (running === 0n) return NaN;
  return running === enabled ? Number(value) : Number(value) * (Number(enabled) / Number(running));
}

export interface CounterRequest {
  readonly targets: readonly CollectorTarget[];
  /** As {@link withCounting} makes them: read_format is total_time_enabled and total_time_running. */
  readonly events: readonly EventSpec[];
  /** Absent: any cpu (processes), every cpu (system and cgroups). */
  readonly cpus?: readonly number[];
}

/** Opened counters, disabled at first. */
export class Counters implements AsyncDisposable {
  readonly #grant: EventGrant;
  readonly #events: number;

  private constructor(grant: EventGrant, events: number) {
    this.#grant = grant;
    this.#events = events;
  }

  /** @throws what the opener throws. */
  static async open(opener: EventOpener, request: CounterRequest): Promise<Counters> {
    return new Counters(await opener.open({ ...request, ringSlots: 'none' }), request.events.length);
  }

  get grant(): EventGrant {
    return this.#grant;
  }

  get unstable(): boolean {
    return this.#grant.unstable;
  }

  enable(): void {
    for (const event of this.#grant.events) event.enable();
  }

  disable(): void {
    for (const event of this.#grant.events) event.disable();
  }

  /** Returns a count for each event, in the order of the request. */
  read(): readonly Count[] {
    const sums = Array.from({ length: this.#events }, () => ({ value: 0n, enabled: 0n, running: 0n }));
    for (const event of this.#grant.events) {
      const sum = sums[event.event];
      if (sum === undefined) continue;
      const [value = 0n, enabled = 0n, running = 0n] = event.read();
      sum.value += value;
      sum.enabled += enabled;
      sum.running += running;
    }
    return sums;
  }

  /** Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#grant.close();
  }
}

/** Counts between two readings. */
export function difference(now: readonly Count[], before: readonly Count[]): readonly Count[] {
  return now.map((count, index) => ({
    value: count.value - (before[index]?.value ?? 0n),
    enabled: count.enabled - (before[index]?.enabled ?? 0n),
    running: count.running - (before[index]?.running ?? 0n),
  }));
}
