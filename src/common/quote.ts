/**
 * Text that another process chose (a command name, a path), for a message that ends on a terminal or in a log: in double
 * quotes, with every control, format and line-separating character escaped, cut after `limit` characters.
 */
export function quote(text: string, limit = 200): string {
  const short = text.length > limit ? `${text.slice(0, limit)}…` : text;
  return `"${escapeName(short.replace(/["\\]/g, '\\$&'))}"`;
}

/**
 * The same text without quotes, for a cell of a table or a line: it cannot begin a line, move the cursor, or reorder or hide
 * other text.
 */
export function escapeName(text: string): string {
  return text.replace(
    /[\p{C}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}}`,
  );
}
