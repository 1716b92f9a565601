/** Quantities with a unit, as an administrator writes them. */

const BYTE_UNITS: Readonly<Record<string, number>> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };
const SECOND_UNITS: Readonly<Record<string, number>> = { s: 1, min: 60, h: 3600, d: 86_400 };

/** `"8 MiB"`, `"4096 B"` or a whole number of bytes. @returns undefined for anything else, including decimal units (`MB`) */
export function parseBytes(value: unknown): number | undefined {
  return parseQuantity(value, BYTE_UNITS);
}

/** `"10 min"`, `"90 s"`, `"2 h"`, `"1 d"` or a whole number of seconds; `"none"` is 0, which means no end. */
export function parseLease(value: unknown): number | undefined {
  if (value === 'none') return 0;
  const seconds = parseQuantity(value, SECOND_UNITS);
  // 0 would read as "ends at once", and mean "never ends".
  return seconds === 0 ? undefined : seconds;
}

function parseQuantity(value: unknown, units: Readonly<Record<string, number>>): number | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  if (typeof value !== 'string') return undefined;
  const match = /^(\d{1,15}) ?([A-Za-z]{1,3})$/.exec(value);
  const unit = match?.[2];
  if (unit === undefined || !Object.hasOwn(units, unit)) return undefined;
  const result = Number(match?.[1]) * (units[unit] ?? NaN);
  return Number.isSafeInteger(result) ? result : undefined;
}

/** 8388608 -> `8 MiB`; the largest unit that divides evenly. */
export function formatBytes(bytes: number): string {
  return formatQuantity(bytes, BYTE_UNITS);
}

/** 600 -> `10 min`, 0 -> `none`. */
export function formatLease(seconds: number): string {
  return seconds === 0 ? 'none' : formatQuantity(seconds, SECOND_UNITS);
}

function formatQuantity(value: number, units: Readonly<Record<string, number>>): string {
  const fitting = Object.entries(units).filter(([, size]) => value >= size && value % size === 0);
  const [unit, size] = fitting.at(-1) ?? Object.entries(units)[0] ?? ['', 1];
  return `${value / size} ${unit}`;
}
