import { readFileSync } from 'node:fs';

/** The kernel's default of kernel.perf_event_paranoid, assumed when it cannot be read. */
export const DEFAULT_PARANOID = 2;

/** Returns kernel.perf_event_paranoid. */
export function paranoidLevel(): number {
  try {
    const level = Number.parseInt(readFileSync('/proc/sys/kernel/perf_event_paranoid', 'latin1'), 10);
    return Number.isNaN(level) ? DEFAULT_PARANOID : level;
  } catch {
    return DEFAULT_PARANOID;
  }
}
