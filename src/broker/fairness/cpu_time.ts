import { native } from '../../native.js';

/** CLOCK_THREAD_CPUTIME_ID of clock_gettime(2). */
const THREAD_CPU_TIME = 3;

/** Processor time of this thread, milliseconds. The time that other processes take of the processor does not count. */
export function threadCpuMs(): number {
  return Number(native.clockNanoseconds(THREAD_CPU_TIME)) / 1e6;
}
