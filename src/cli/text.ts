import { escapeName } from '../common/quote.js';

/** `1,234,567` */
export function grouped(value: bigint | number): string {
  return value.toString().replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}

/** `1 sample`, `1,234 samples` */
export function samplesText(samples: bigint | number): string {
  return `${grouped(samples)} sample${Number(samples) === 1 ? '' : 's'}`;
}

/** `512 B`, `1.5 KiB`, `12.0 MiB` */
export function byteText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit] ?? ''}`;
}

/**
 * Columns padded to their widest cell; those in `right` aligned to the right, the last one not padded. Cells are escaped: a
 * name that another process chose cannot add a row.
 */
export function table(cells: readonly (readonly string[])[], right: readonly number[] = []): string {
  const rows = cells.map((row) => row.map(escapeName));
  const widths: number[] = [];
  for (const row of rows)
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length);
  const lineOf = (row: readonly string[]): string =>
    row
      .map((cell, column) =>
        right.includes(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd();
  return rows.map((row) => `${lineOf(row)}\n`).join('');
}

/** JSON in which no string has a character that a terminal interprets. @param indent absent: one line */
export function jsonText(value: unknown, indent?: number): string {
  const json = JSON.stringify(value, null, indent);
  const escaped = json.replace(/[^\P{C}\n]|[\p{Zl}\p{Zp}]/gu, (character) =>
    [...Array(character.length).keys()]
      .map((unit) => `\\u${character.charCodeAt(unit).toString(16).padStart(4, '0')}`)
      .join(''),
  );
  return `${escaped}\n`;
}
