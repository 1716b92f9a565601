import { TomlDate } from 'smol-toml';
import type { PolicyProblem } from '../error.js';
import { suggestion } from '../../common/nearest.js';
import { quote } from '../../common/quote.js';
import type { Positions, TomlPath } from './positions.js';

export type TomlTable = Readonly<Record<string, unknown>>;

/** One file while it is being read: where its keys stand, and what was found wrong with them. */
export interface ReadContext {
  readonly file: string;
  readonly positions: Positions;
  readonly problems: PolicyProblem[];
}

/**
 * Typed access to one TOML table. What is wrong is collected, not thrown, so that an administrator sees all of it at
 * once; the caller must not use what was read when the context has problems.
 */
export class TableReader {
  readonly path: TomlPath;
  readonly context: ReadContext;
  private readonly table: TomlTable;

  /** @param allowed every key that may stand here; any other is a problem */
  constructor(table: TomlTable, path: TomlPath, allowed: readonly string[], context: ReadContext) {
    this.table = table;
    this.path = path;
    this.context = context;
    for (const key of Object.keys(table)) {
      if (allowed.includes(key)) continue;
      this.problem([key], 'no such key', `${suggestion(key, allowed)}Allowed here: ${allowed.join(', ')}.`);
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

  /** A key that must be there. */
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
   * A list; an element that `read` answers with a text is a problem: the text says what it must be.
   * @param whenEmpty the remedy for a list of nothing
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

  /** A table within this one; undefined, with a problem, when it is something else. */
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

/** An element of a list that can not stay. */
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

/** What a value is, in an administrator's words. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return `the text ${quote(value, 64)}`;
  if (typeof value === 'number' || typeof value === 'bigint') return `the number ${value}`;
  if (typeof value === 'boolean') return String(value);
  if (Array.isArray(value)) return 'a list';
  return isTable(value) ? 'a table' : 'a date';
}
