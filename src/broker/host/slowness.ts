/** How slow this machine is: the price of requests is measured in time, and an ordinary one takes longer on a slow machine. */
import { threadCpuMs } from '../fairness/cpu_time.js';
import { readProcess } from '../processes/proc.js';

/**
 * Milliseconds for one look at a process, by node without a compiler, on the machine that the prices were made for (docs/benchmarks.md);
 * twice the median there, as it need not be exact.
 */
const REFERENCE_MS = 0.2;
/** Enough for a machine under software emulation. */
const MAX_SLOWNESS = 100;
const LOOKS = 15;

/** A factor of at least 1: the time of an ordinary step of a request, measured now, to what it was made for. */
export function measureSlowness(
  look: () => unknown = () => readProcess(process.pid),
  cpuMs: () => number = threadCpuMs,
): number {
  const times: number[] = [];
  for (let count = 0; count < LOOKS; count++) {
    const begin = cpuMs();
    look();
    times.push(cpuMs() - begin);
  }
  const median = times.sort((a, b) => a - b)[LOOKS >> 1] ?? REFERENCE_MS;
  return Math.min(MAX_SLOWNESS, Math.max(1, median / REFERENCE_MS));
}
