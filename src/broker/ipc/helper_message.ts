/** A request that a worker of a helper process has answered, or not; for the log. */
export interface HelperMessage {
  readonly kind: 'open' | 'release' | 'reset' | 'downgrade';
  /** Counted from 1, for each helper process. */
  readonly worker: number;
  readonly outcome: 'answered' | 'late' | 'answered late' | 'failed';
  /** Milliseconds since it was sent. */
  readonly ms: number;
}

/** `opener worker 3: open answered, 2.1 ms` */
export function helperMessageLine(helper: 'opener' | 'tracer', { kind, worker, outcome, ms }: HelperMessage): string {
  return `${helper} worker ${worker}: ${kind} ${outcome}, ${ms.toFixed(1)} ms`;
}
