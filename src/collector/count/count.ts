import { whenProcessesEnd } from '../host/processes_end.js';
import { GrantWatch, type LossOfBroker } from '../session/grant_watch.js';
import { confirmEnd, endOf, observesCommand, type Session, type SessionEnd } from '../session/session_end.js';
import { difference, type Count, type Counters } from './counting.js';

/** A stretch of a count. */
export interface CountedInterval {
  /** In the order of the counters' events. */
  readonly counts: readonly Count[];
  /** Seconds from the beginning of the count to the end of the interval. */
  readonly at: number;
  readonly seconds: number;
}

export interface CountingPlan extends Session {
  readonly intervals?: {
    readonly ms: number;
    /**
     * Receives each interval; the last one, shorter as a rule, when the count has ended. Returns false when no reader is
     * left, which ends a count without a command. A command goes on: it does not run for the reader of its counts. The
     * same is true when it throws; the count throws the error when it ends.
     */
    readonly onInterval: (interval: CountedInterval) => boolean;
  };
}

export interface CountingSummary {
  readonly end: SessionEnd;
  /** From the beginning to the end. */
  readonly counts: readonly Count[];
  readonly seconds: number;
  /** Absent when the broker was there until the end. */
  readonly lossOfBroker?: LossOfBroker;
}

/**
 * Counts until the session ends. The counters are disabled then and stay open.
 * @throws the first error of an interval
 */
export async function count(counters: Counters, plan: CountingPlan): Promise<CountingSummary> {
  using watch = new GrantWatch(counters.grant, plan.targets);
  if (!observesCommand(plan)) counters.enable();
  const began = process.hrtime.bigint();
  const elapsed = (): number => Number(process.hrtime.bigint() - began) / 1e9;
  plan.workload?.release();
  const unread = new AbortController();
  let before: { readonly counts: readonly Count[]; readonly at: number } = { counts: [], at: 0 };
  let failure: { readonly error: unknown } | undefined;
  const passInterval = (): void => {
    if (failure !== undefined) return;
    try {
      if (!takeInterval()) unread.abort();
    } catch (error) {
      // Thrown from a timer, it would end this process and leave the command without its parent.
      failure = { error };
      if (plan.workload === undefined) unread.abort();
    }
  };
  const takeInterval = (): boolean => {
    const [counts, at] = [counters.read(), elapsed()];
    const part = { counts: difference(counts, before.counts), at, seconds: at - before.at };
    before = { counts, at };
    return plan.intervals?.onInterval(part) !== false || plan.workload !== undefined;
  };
  const timer = plan.intervals === undefined ? undefined : setInterval(passInterval, plan.intervals.ms);
  try {
    const interrupt = AbortSignal.any([plan.interrupt, unread.signal]);
    const end = await endOf({ ...plan, interrupt }, watch, (over) => endOfTargets(plan, over));
    clearInterval(timer);
    const seconds = elapsed();
    counters.disable();
    const confirmed = await confirmEnd(end, watch);
    if (plan.intervals !== undefined && confirmed !== 'not-executed') passInterval();
    if (failure !== undefined) throw failure.error;
    const lossOfBroker = await watch.lossOfBroker();
    return {
      end: confirmed,
      counts: counters.read(),
      seconds,
      ...(lossOfBroker === undefined ? {} : { lossOfBroker }),
    };
  } finally {
    clearInterval(timer);
  }
}

/** Resolves when every observed process has ended; never when none but the command is observed. */
async function endOfTargets({ targets, workload }: Session, over: AbortSignal): Promise<'targets'> {
  const pids = targets.flatMap((target) => ('pid' in target && target.pid !== workload?.pid ? [target.pid] : []));
  if (pids.length === 0) return new Promise(() => undefined);
  const processes = whenProcessesEnd(pids);
  over.addEventListener('abort', processes.dispose, { once: true });
  await processes.ended;
  return 'targets';
}
