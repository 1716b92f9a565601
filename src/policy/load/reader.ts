import { TomlDate } from 'smol-toml';
import type { PolicyProblem } from '../error.js';
import { suggestion } from '../../common/nearest.js';
import { quote } from '../../common/quote.js';
import type { Positions, TomlPath } from './positions.js';

export type TomlTable = Readonly<Record<string, unknown>>;

/** File that is being read, with the positions of its keys and the problems found so far. */
export interface ReadContext {
  readonly file: string;
  readonly positions: Positions;
  readonly problems: PolicyProblem[];
}

/**
 * Typed access to one TOML table. Problems are collected, not thrown, so that an administrator sees all of them at once. The
 * values must not be used when the context has problems.
 */
export class TableReader {
  readonly path: TomlPath;
  readonly context: ReadContext;
  private readonly table: TomlTable;

  /** @param allowed keys that the table may have; every other key is a problem */
  constructor(table: TomlTable, path: TomlPath, allowed: readonly string[], context: ReadContext) {
    this.table = table;
    this.path = path;
    this.context = context;
    for (const key of Object.keys(table)) {
      if (allowed.includes(key)) continue;
      this.problem([key], 'is not a known key', `${suggestion(key, allowed)}Allowed here: ${allowed.join(', ')}.`);
    }
  }

  has(key: string): boolean {
    return Object.hasOwn(this.table, key);
  }

  get(key: string): unknown {
    return Object.hasOwn(this.table, key) ? this.table[key] : undefined;
  }

  /** Reports a problem at a key of this table (or at the table itself: `[]`). */
  problem(at: TomlPath, message: string, remedy: string): void {
    const path = [...this.path, ...at];
    const key = path.filter((part) => typeof part === 'string').join('.');
    const { file, positions, problems } = this.context;
    problems.push({ file, ...positions.find(path), ...(key === '' ? {} : { key }), message, remedy });
  }

  /** Reports a missing key. @returns whether the table has it */
  required(key: string, remedy: string): boolean {
    if (!this.has(key)) this.problem([], `${key} is missing`, remedy);
    return this.has(key);
  }

  boolean(key: string): boolean {
    const value = this.get(key);
    if (value === undefined || typeof value === 'boolean') return value ?? false;
    this.problem([key], `must be true or false, not ${describe(value)}`, 'Write it without quotes.');
    return false;
  }

  /**
   * Reads a list without repetition. An element for which `read` returns a Refusal is a problem.
   * @param whenEmpty remedy for an empty list
   */
  list<Item>(
    key: string,
    what: string,
    read: (value: unknown, index: number) => Item | Refusal,
    whenEmpty = 'Name at least one, or leave the key out.',
  ): Item[] {
    const value = this.get(key);
    if (value === undefined) return [];
    if (!Array.isArray(value)) {
      this.problem([key], `must be a list of ${what}, not ${describe(value)}`, 'Put it in square brackets.');
      return [];
    }
    if (value.length === 0) this.problem([key], 'is empty', whenEmpty);
    const items = new Set<Item>();
    for (const [index, element] of (value as readonly unknown[]).entries()) {
      const item = read(element, index);
      if (item instanceof Refusal) this.problem([key, index], item.message, item.remedy);
      else items.add(item);
    }
    return [...items];
  }

  /** Table within this one. @returns undefined for another value, after reporting a problem */
  inner(key: string, allowed: readonly string[]): TableReader | undefined {
    const value = this.get(key);
    if (isTable(value)) return new TableReader(value, [...this.path, key], allowed, this.context);
    this.problem(
      [key],
      `must be a table, not ${describe(value)}`,
      `Write ${key} = { ... } with ${allowed.join(', ')}.`,
    );
    return undefined;
  }
}

/** Problem of one element of a list. */
export class Refusal {
  readonly message: string;
  readonly remedy: string;

  constructor(message: string, remedy: string) {
    this.message = message;
    this.remedy = remedy;
  }
}

export function isTable(value: unknown): value is TomlTable {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof TomlDate);
}

/** Description of a value, for messages. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return `the text ${quote(value, 64)}`;
  if (typeof value === 'number' || typeof value === 'bigint') return `the number ${value}`;
  if (typeof value === 'boolean') return String(value);
  if (Array.isArray(value)) return 'a list';
  return isTable(value) ? 'a table' : 'a date';
}
