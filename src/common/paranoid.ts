import { readFileSync } from 'node:fs';

/** kernel.perf_event_paranoid; 2, the kernel's default, when it can not be read. */
export function paranoidLevel(): number {
  try {
    const level = Number.parseInt(readFileSync('/proc/sys/kernel/perf_event_paranoid', 'latin1'), 10);
    return Number.isNaN(level) ? 2 : level;
  } catch {
    return 2;
  }
}
