import { parse } from 'smol-toml';

/** Keys and list indexes from the top of a document: `['rule', 0, 'subjects', 'users', 1]`. */
export type TomlPath = readonly (string | number)[];

/** Both from 1; the column counts UTF-16 units. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/**
 * Positions of keys and list elements of a TOML document: smol-toml gives values without them.
 * @param text a document that smol-toml accepted; another one is scanned as far as possible
 */
export class Positions {
  private readonly text: string;
  private readonly offsets = new Map<string, number>();

  constructor(text: string) {
    this.text = text;
    new Scanner(text, (path, offset) => {
      const key = JSON.stringify(path);
      if (!this.offsets.has(key)) this.offsets.set(key, offset);
    }).scan();
  }

  /** Position of `path`, or of the nearest table or key around it (of its table for a missing key). */
  find(path: TomlPath): Position | undefined {
    for (let length = path.length; length > 0; length--) {
      const offset = this.offsets.get(JSON.stringify(path.slice(0, length)));
      if (offset !== undefined) return this.position(offset);
    }
    return undefined;
  }

  private position(offset: number): Position {
    const before = this.text.slice(0, offset);
    const lineStart = before.lastIndexOf('\n') + 1;
    return { line: before.split('\n').length, column: offset - lineStart + 1 };
  }
}

class Scanner {
  private at = 0;
  private readonly text: string;
  private readonly record: (path: TomlPath, offset: number) => void;
  /** Number of elements of each array of tables so far, by path. */
  private readonly tableCounts = new Map<string, number>();

  constructor(text: string, record: (path: TomlPath, offset: number) => void) {
    this.text = text;
    this.record = record;
  }

  scan(): void {
    if (this.text.startsWith('\ufeff')) this.at++;
    let table: TomlPath = [];
    for (this.skipBlank(); this.at < this.text.length; this.skipBlank()) {
      const start = this.at;
      if (this.peek() === '[') table = this.header();
      else this.keyValue(table);
      if (this.at <= start) return;
    }
  }

  private header(): TomlPath {
    const start = this.at;
    const isArray = this.text.startsWith('[[', start);
    this.at += isArray ? 2 : 1;
    const keys = this.keys();
    this.at = this.text.indexOf(']', this.at) + (isArray ? 2 : 1);
    let path: TomlPath = [];
    for (const [index, key] of keys.entries()) {
      path = [...path, key];
      this.record(path, start);
      const counted = JSON.stringify(path);
      let count = this.tableCounts.get(counted);
      if (isArray && index === keys.length - 1) this.tableCounts.set(counted, (count = (count ?? 0) + 1));
      // A header below an array of tables belongs to its newest element.
      if (count !== undefined) path = [...path, count - 1];
      this.record(path, start);
    }
    return path;
  }

  private keyValue(table: TomlPath): void {
    this.skipBlank();
    const start = this.at;
    let path = table;
    for (const key of this.keys()) this.record((path = [...path, key]), start);
    if (this.peek() !== '=') return;
    this.at++;
    this.skipBlank();
    this.value(path);
  }

  private value(path: TomlPath): void {
    const first = this.peek();
    if (first === '{') {
      this.list('}', () => this.keyValue(path));
    } else if (first === '[') {
      let index = 0;
      this.list(']', () => {
        const element = [...path, index++];
        this.record(element, this.at);
        this.value(element);
      });
    } else if (first === '"' || first === "'") {
      this.string(first);
    } else {
      this.advance(/[^,\]}#\r\n]*/y);
    }
  }

  private list(end: string, item: () => void): void {
    this.at++;
    for (this.skipBlank(); this.at < this.text.length; this.skipBlank()) {
      if (this.peek() === end) {
        this.at++;
        return;
      }
      const start = this.at;
      if (this.peek() === ',') this.at++;
      else item();
      if (this.at <= start) return;
    }
  }

  private string(quote: string): void {
    const delimiter = this.text.startsWith(quote.repeat(3), this.at) ? quote.repeat(3) : quote;
    this.at += delimiter.length;
    while (this.at < this.text.length && !this.text.startsWith(delimiter, this.at)) {
      this.at += quote === '"' && this.peek() === '\\' ? 2 : 1;
    }
    this.at += delimiter.length;
    // A multi-line string may end with up to two quotes of its own.
    if (delimiter.length === 3) while (this.peek() === quote) this.at++;
  }

  /** Reads a dotted key. */
  private keys(): string[] {
    const keys: string[] = [];
    for (;;) {
      this.advance(/[ \t]*/y);
      const start = this.at;
      const quote = this.peek();
      if (quote === '"' || quote === "'") {
        this.string(quote);
        // smol-toml reads the escapes.
        const { key } = parse(`key = ${this.text.slice(start, this.at)}`);
        if (typeof key === 'string') keys.push(key);
      } else {
        this.advance(/[A-Za-z0-9_-]*/y);
        keys.push(this.text.slice(start, this.at));
      }
      this.advance(/[ \t]*/y);
      if (this.peek() !== '.') return keys;
      this.at++;
    }
  }

  /** Skips white space, ends of lines and comments. */
  private skipBlank(): void {
    this.advance(/(?:[ \t\r\n]+|#[^\n]*)*/y);
  }

  private advance(pattern: RegExp): void {
    pattern.lastIndex = this.at;
    this.at += pattern.exec(this.text)?.[0].length ?? 0;
  }

  private peek(): string | undefined {
    return this.text[this.at];
  }
}
