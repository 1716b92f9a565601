/**
 * Folded stacks, one a line: frames from the outermost to the innermost, separated by semicolons, a space, and how
 * often the stack was seen. What flamegraph.pl and speedscope read.
 */

/** Frames outermost first. */
export interface FoldedStack {
  readonly frames: readonly string[];
  readonly count: number;
}

/** Lines in the order of their text, so that the same profile always gives the same file. */
export function* foldedLines(stacks: Iterable<FoldedStack>): Generator<string, void, undefined> {
  const counts = new Map<string, number>();
  for (const { frames, count } of stacks) {
    const key = frames.map(frameText).join(';');
    counts.set(key, (counts.get(key) ?? 0) + count);
  }
  for (const key of [...counts.keys()].sort()) yield `${key} ${counts.get(key) ?? 0}\n`;
}

/** A name that can not be taken for the format's own marks: symbol names come from files that anyone may have made. */
function frameText(frame: string): string {
  return frame.replaceAll(';', ':').replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?') || '?';
}
