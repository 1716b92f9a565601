/** Measures how slow this machine is. The price of requests is measured in time, and an ordinary request takes longer on a slow machine. */
import { threadCpuMs } from '../fairness/cpu_time.js';
import { readProcess } from '../processes/proc.js';

/**
 * Milliseconds for reading a process, by node without a compiler, on the machine of docs/benchmarks.md: twice the median there, as it need
 * not be exact.
 */
const REFERENCE_MS = 0.2;
/** Enough for a machine under software emulation. */
const MAX_SLOWNESS = 100;
const RUNS = 15;

/** A factor of at least 1: the time of an ordinary step of a request, divided by {@link REFERENCE_MS}. */
export function measureSlowness(
  readOne: () => unknown = () => readProcess(process.pid),
  cpuMs: () => number = threadCpuMs,
): number {
  const times: number[] = [];
  for (let count = 0; count < RUNS; count++) {
    const begin = cpuMs();
    readOne();
    times.push(cpuMs() - begin);
  }
  const median = times.sort((a, b) => a - b)[RUNS >> 1] ?? REFERENCE_MS;
  return Math.min(MAX_SLOWNESS, Math.max(1, median / REFERENCE_MS));
}
