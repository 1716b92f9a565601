/** Syntax error in a definition. `line` and `column` count from 1; columns are UTF-16 units. */
export class IdlError extends Error {
  override readonly name = 'IdlError';
  readonly line: number;
  readonly column: number;

  constructor(problem: string, line: number, column: number) {
    super(`line ${line}, column ${column}: ${problem}`);
    this.line = line;
    this.column = column;
  }
}

export interface Token {
  /** A word (names, keywords, dotted interface names), `->`, `[]`, one punctuation character, or '' at the end. */
  readonly text: string;
  readonly offset: number;
}

const BLANK = /[ \t\r\n]*/y;
const COMMENT = /#([^\r\n]*)/y;
const TOKEN = /->|[()[\],:?]|[A-Za-z][A-Za-z0-9_.-]*/y;

/** Splits a Varlink interface definition into tokens, with one token of lookahead and the comments before it. */
export class IdlScanner {
  readonly source: string;
  #position = 0;
  #token: Token = { text: '', offset: 0 };
  #comment = '';

  constructor(source: string) {
    this.source = source;
    this.advance();
  }

  /** The current token, which `advance` returns. */
  get token(): Token {
    return this.#token;
  }

  /** Comment lines directly before the current token, without `#`. A blank line ends a comment block. */
  get comment(): string {
    return this.#comment;
  }

  advance(): Token {
    const previous = this.#token;
    this.#skipBlanksAndComments();
    const offset = this.#position;
    const text = this.#match(TOKEN)?.[0] ?? '';
    // A word such as "a-" followed by ">" is an arrow after a name: names end with a letter or a digit.
    const trimmed = text === '->' ? text : text.replace(/[-_.]+$/, '');
    this.#position = offset + trimmed.length;
    if (trimmed === '' && offset < this.source.length) {
      throw this.error(
        `unexpected ${JSON.stringify(String.fromCodePoint(this.source.codePointAt(offset) ?? 0))}`,
        offset,
      );
    }
    this.#token = { text: trimmed, offset };
    return previous;
  }

  error(problem: string, offset: number = this.#token.offset): IdlError {
    const before = this.source.slice(0, offset).split('\n');
    return new IdlError(problem, before.length, (before.at(-1)?.length ?? 0) + 1);
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#position;
    const match = pattern.exec(this.source);
    if (match !== null) this.#position = pattern.lastIndex;
    return match;
  }

  #skipBlanksAndComments(): void {
    let lines: string[] = [];
    for (;;) {
      const blank = this.#match(BLANK)?.[0] ?? '';
      if (blank.split('\n').length > 2) lines = [];
      const comment = this.#match(COMMENT);
      if (comment === null) break;
      lines.push((comment[1] ?? '').replace(/^ /, '').trimEnd());
    }
    this.#comment = lines.join('\n');
  }
}
