import { sysfsPmus } from '../collector/host/pmu_sysfs.js';
import { BrokerError } from '../model/errors/errors.js';
import type { EventSpec, Sampling } from '../model/event.js';
import { parseEvents } from '../model/events/syntax/event_syntax.js';
import { parseInteger } from './arguments.js';
import { UsageError } from './failure.js';

/** Joins several -e options to one list. */
export function collectEvents(text: string, before: string | undefined): string {
  return before === undefined ? text : `${before},${text}`;
}

/** Parses events. @throws UsageError with the position of the error */
export function eventsFrom(text: string): readonly EventSpec[] {
  try {
    return parseEvents(text, { pmus: sysfsPmus });
  } catch (error) {
    if (error instanceof BrokerError) throw new UsageError(`--event: ${error.message}`);
    throw error;
  }
}

/** Sampling by -F or -c. @throws UsageError when both are given */
export function samplingFrom(options: { readonly freq?: string; readonly count?: string }): Sampling | undefined {
  if (options.freq !== undefined && options.count !== undefined)
    throw new UsageError('--freq and --count exclude each other');
  if (options.freq !== undefined) return { frequency: parseInteger(options.freq, '--freq', 1, 1_000_000) };
  if (options.count !== undefined)
    return { period: BigInt(parseInteger(options.count, '--count', 1, Number.MAX_SAFE_INTEGER)) };
  return undefined;
}
