/** Tables of numbers with a unit and a range: [limits], [service]. */
import { describe, type TableReader } from './reader.js';
import { formatBytes, formatLease, parseBytes, parseLease } from '../units.js';

/** How one kind of number is written. */
interface QuantityForm {
  /** @returns undefined for what can not be read */
  readonly parse: (value: unknown) => number | undefined;
  readonly format: (value: number) => string;
  /** What it looks like, in words. */
  readonly form: string;
}

export interface QuantityKey<Values> extends QuantityForm {
  readonly field: keyof Values;
  readonly minimum: number;
  readonly maximum: number;
}

export const count: QuantityForm = {
  parse: (value) => (typeof value === 'number' && Number.isSafeInteger(value) ? value : undefined),
  format: (value) => value.toLocaleString('en-US'),
  form: 'a whole number',
};
export const bytes: QuantityForm = {
  parse: parseBytes,
  format: formatBytes,
  form: 'a size such as "8 MiB" or a number of bytes',
};
export const lease: QuantityForm = {
  parse: parseLease,
  format: formatLease,
  form: 'a time such as "10 min", a number of seconds, or "none"',
};

/** What a table says; only the fields that it names. */
export function readQuantities<Values>(
  reader: TableReader,
  keys: Readonly<Record<string, QuantityKey<Values>>>,
): Partial<Record<keyof Values, number>> {
  const values: Partial<Record<keyof Values, number>> = {};
  for (const [key, { field, minimum, maximum, parse, format, form }] of Object.entries(keys)) {
    if (!reader.has(key)) continue;
    const value = reader.get(key);
    const parsed = parse(value);
    if (parsed === undefined) {
      reader.problem([key], `can not be ${describe(value)}`, `Write ${form}.`);
    } else if (parsed < minimum || parsed > maximum) {
      reader.problem([key], `${describe(value)} is out of range`, `Allowed: ${format(minimum)} to ${format(maximum)}.`);
    } else {
      values[field] = parsed;
    }
  }
  return values;
}
