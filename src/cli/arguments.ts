import { PAGE_BYTES } from '../common/page.js';
import { OPENER } from '../common/native_messages.js';
import { MAX_TIMER_MS } from '../common/timer.js';
import { UsageError } from './failure.js';

/** PID_MAX_LIMIT (include/linux/threads.h). */
const MAX_PID = 4_194_304;
/** The opener maps no larger ring. */
const MAX_RING_BYTES: number = OPENER.maxPremapBytes;

/** Parses a whole number in a range. @param option names it in the error @throws UsageError */
export function parseInteger(text: string, option: string, min: number, max: number): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
  if (!(value >= min && value <= max))
    throw new UsageError(`${option}: '${text}' is not a whole number from ${min} to ${max}`);
  return value;
}

/** Parses `1234` or `1234,5678`. @throws UsageError */
export function parsePids(text: string): readonly number[] {
  return [...new Set(text.split(',').map((part) => parseInteger(part.trim(), 'pid', 1, MAX_PID)))];
}

/** Parses seconds, with or without a fraction. @returns milliseconds @throws UsageError */
export function parseSeconds(text: string, option: string): number {
  const seconds = /^(\d+(\.\d*)?|\.\d+)$/.test(text) ? Number(text) : NaN;
  if (!(seconds > 0))
    throw new UsageError(`${option}: '${text}' is not a number of seconds above 0, such as 10 or 0.5`);
  const ms = Math.max(1, Math.round(seconds * 1000));
  if (ms > MAX_TIMER_MS)
    throw new UsageError(`${option}: ${text} seconds exceed the maximum of ${Math.floor(MAX_TIMER_MS / 1000)}`);
  return ms;
}

/** Checks the value of --output, before a command runs whose result it receives. @throws UsageError */
export function parseOutput(path: string): string {
  if (path === '') throw new UsageError('--output: the file name is empty');
  if (path.endsWith('/')) throw new UsageError(`--output: ${path} names a directory; add a file name`);
  return path;
}

/**
 * Parses the size of one ring, as perf's -m: `64` pages, or `512K`, `4M`. Pages must be a power of two; other sizes are
 * rounded up to one. @returns bytes
 * @throws UsageError
 */
export function parseRingBytes(text: string): number {
  const match = /^(\d{1,9})(?:([KMG])(?:i?B)?|B)?$/i.exec(text);
  if (match === null) throw new UsageError(`--mmap-pages: '${text}' is neither a number of pages nor a size like 512K`);
  const [all, digits = '', unit = ''] = match;
  const number = Number(digits);
  if (all === digits) {
    if (number < 1 || (number & (number - 1)) !== 0 || number * PAGE_BYTES > MAX_RING_BYTES)
      throw new UsageError(`--mmap-pages: ${text} pages are not a power of two up to ${MAX_RING_BYTES / PAGE_BYTES}`);
    return number * PAGE_BYTES;
  }
  const bytes = number * 1024 ** ' KMG'.indexOf(unit.toUpperCase() || ' ');
  if (bytes < 1 || bytes > MAX_RING_BYTES)
    throw new UsageError(`--mmap-pages: ${text} is not between 1B and ${MAX_RING_BYTES >> 20}M`);
  return Math.max(PAGE_BYTES, 2 ** Math.ceil(Math.log2(bytes)));
}

/** Default size of one ring: perf's 512 KiB, and less from 33 cpus on, so that all rings stay within 16 MiB. @returns bytes */
export function defaultRingBytes(cpus: number): number {
  const share = 2 ** Math.floor(Math.log2((16 << 20) / Math.max(1, cpus)));
  return Math.min(512 << 10, Math.max(32 << 10, share));
}
