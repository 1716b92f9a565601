import { MAX_TIMER_MS } from '../common/timer.js';
import { UsageError } from './failure.js';

/** PID_MAX_LIMIT (include/linux/threads.h). */
const MAX_PID = 4_194_304;
const PAGE_BYTES = 4096;
const MAX_RING_BYTES = 1 << 30;

/** A whole number in a range. @throws UsageError */
export function parseInteger(text: string, what: string, least: number, most: number): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
  if (!(value >= least && value <= most))
    throw new UsageError(`${what}: '${text}' is no whole number from ${least} to ${most}`);
  return value;
}

/** `1234` or `1234,5678`. @throws UsageError */
export function parsePids(text: string): readonly number[] {
  return [...new Set(text.split(',').map((part) => parseInteger(part.trim(), 'pid', 1, MAX_PID)))];
}

/** Seconds, with a fraction if need be, to milliseconds. @throws UsageError */
export function parseSeconds(text: string, what: string): number {
  const seconds = /^(\d+(\.\d*)?|\.\d+)$/.test(text) ? Number(text) : NaN;
  if (!(seconds > 0)) throw new UsageError(`${what}: '${text}' is no number of seconds above 0, as 10 or 0.5`);
  const ms = Math.max(1, Math.round(seconds * 1000));
  if (ms > MAX_TIMER_MS)
    throw new UsageError(`${what}: ${text} seconds are too many; ${Math.floor(MAX_TIMER_MS / 1000)} are possible`);
  return ms;
}

/**
 * Bytes of one ring's data, as perf's -m: `64` pages, or `512K`, `4M`. Pages must be a power of two; sizes are rounded up to one.
 * @throws UsageError
 */
export function parseRingBytes(text: string): number {
  const match = /^(\d{1,9})(?:([KMG])(?:i?B)?|B)?$/i.exec(text);
  if (match === null) throw new UsageError(`--mmap-pages: '${text}' is neither a number of pages nor a size like 512K`);
  const [all, digits = '', unit = ''] = match;
  const number = Number(digits);
  if (all === digits) {
    if (number < 1 || (number & (number - 1)) !== 0 || number * PAGE_BYTES > MAX_RING_BYTES)
      throw new UsageError(`--mmap-pages: ${text} pages are no power of two up to ${MAX_RING_BYTES / PAGE_BYTES}`);
    return number * PAGE_BYTES;
  }
  const bytes = number * 1024 ** ' KMG'.indexOf(unit.toUpperCase() || ' ');
  if (bytes < 1 || bytes > MAX_RING_BYTES) throw new UsageError(`--mmap-pages: ${text} is not within 1B and 1G`);
  return Math.max(PAGE_BYTES, 2 ** Math.ceil(Math.log2(bytes)));
}

/** perf's 512 KiB a cpu, and less where there are so many cpus that a user's usual share of rings would be used up. */
export function defaultRingBytes(cpus: number): number {
  const share = 2 ** Math.floor(Math.log2((16 << 20) / Math.max(1, cpus)));
  return Math.min(512 << 10, Math.max(32 << 10, share));
}
