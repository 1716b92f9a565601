import { setTimeout as delay } from 'node:timers/promises';
import type { CollectorTarget } from '../event_opener.js';
import type { ObservedCommand } from '../observed_command.js';
import type { GrantEnd, GrantWatch } from './grant_watch.js';

/** Common part of a recording and a count: the targets, and the conditions that end the session. */
export interface Session {
  readonly targets: readonly CollectorTarget[];
  /** A command that waits at its gate; the session ends with it. It need not be a target. */
  readonly workload?: ObservedCommand;
  readonly durationMs?: number;
  readonly interrupt: AbortSignal;
}

/**
 * `lease`, `revoked`: the broker ended the grant and switched the events off. `not-executed`: there was no command after
 * all. `targets`: every observed process has ended.
 */
export type SessionEnd = 'command' | 'not-executed' | 'duration' | 'interrupt' | 'targets' | GrantEnd;

/** True when the command itself is observed: it then enables its events by its exec. */
export function observesCommand({ targets, workload }: Session): boolean {
  return workload !== undefined && targets.some((target) => 'pid' in target && target.pid === workload.pid);
}

/**
 * True when a session that ends so also ends its command: the user ended it, or its duration is over, or the command only
 * sets the duration of a session whose targets have ended. A command that is observed itself outlives every other end.
 */
export function endsCommand(end: string, isObserved: boolean): boolean {
  return end === 'interrupt' || end === 'duration' || end === 'not-executed' || (!isObserved && end !== 'command');
}

/**
 * Waits for the end of a session: the first of its command, its duration, an interrupt, and its grant.
 * @param own an end that only this kind of session can detect; the signal is aborted when the session is over
 * @throws what `own` throws
 */
export async function endOf<Own extends string = never>(
  { workload, durationMs, interrupt }: Session,
  watch: Pick<GrantWatch, 'ended'>,
  own: (over: AbortSignal) => Promise<SessionEnd | Own>,
): Promise<SessionEnd | Own> {
  const over = new AbortController();
  const { signal } = over;
  const ends: Promise<SessionEnd | Own>[] = [own(signal), aborted(interrupt, signal)];
  if (workload !== undefined) ends.push(workload.exited.then(() => 'command'));
  if (durationMs !== undefined) ends.push(delay(durationMs, 'duration' as const, { signal }));
  ends.push(watch.ended);
  for (const end of ends) end.catch(() => undefined);
  try {
    const end = await Promise.race(ends);
    return end === 'command' && (await workload?.executed) !== 0 ? 'not-executed' : end;
  } finally {
    over.abort();
  }
}

/**
 * Corrects an end by asking the broker once more: a revoke shows in no fd, and the regular check may not have come to it.
 * Disable the events first, since this takes up to 1.3 s.
 */
export async function confirmEnd<End extends string>(
  end: End,
  watch: Pick<GrantWatch, 'wasRevoked'>,
): Promise<End | 'revoked'> {
  return (end === 'duration' || end === 'interrupt') && (await watch.wasRevoked()) ? 'revoked' : end;
}

function aborted(interrupt: AbortSignal, over: AbortSignal): Promise<'interrupt'> {
  return new Promise((resolve) => {
    if (interrupt.aborted) resolve('interrupt');
    else interrupt.addEventListener('abort', () => resolve('interrupt'), { once: true, signal: over });
  });
}
