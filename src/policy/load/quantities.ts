/** Tables of numbers with a unit and a range: [limits], [service]. */
import { describe, type TableReader } from './reader.js';
import { formatBytes, formatLease, parseBytes, parseLease } from '../units.js';

/** Notation of one kind of number. */
interface QuantityForm {
  /** @returns undefined for a value of another form */
  readonly parse: (value: unknown) => number | undefined;
  readonly format: (value: number) => string;
  /** Description, for messages. */
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

/** Reads a table; the result has only the fields that the table has. */
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
      reader.problem([key], `cannot be ${describe(value)}`, `Write ${form}.`);
    } else if (parsed < minimum || parsed > maximum) {
      reader.problem([key], `${describe(value)} is out of range`, `Allowed: ${format(minimum)} to ${format(maximum)}.`);
    } else {
      values[field] = parsed;
    }
  }
  return values;
}
