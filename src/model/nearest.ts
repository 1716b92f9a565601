/** The member of `known` that `name` most likely was meant to be; undefined when none is close. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const wanted = name.slice(0, 64).toLowerCase();
  // More edits than a third of the word is another word.
  let least = Math.max(1, Math.floor(wanted.length / 3)) + 1;
  let best: string | undefined;
  for (const candidate of known) {
    const distance = editDistance(wanted, candidate.toLowerCase());
    if (distance >= least) continue;
    least = distance;
    best = candidate;
  }
  return best;
}

/** Levenshtein distance, row by row. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (const [line, letter] of a.split('').entries()) {
    const next = [line + 1];
    for (let column = 0; column < b.length; column++) {
      const [diagonal = 0, above = 0] = row.slice(column, column + 2);
      next.push(Math.min(diagonal + (b[column] === letter ? 0 : 1), above + 1, (next[column] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
