/**
 * Folded stacks, as flamegraph.pl and speedscope read them. Each line has the frames of a stack from the outermost to the
 * innermost, separated by semicolons, then a space and a count.
 */

/** A stack and its count; frames outermost first. */
export interface FoldedStack {
  readonly frames: readonly string[];
  readonly count: number;
}

/** Lines sorted by their text, so that the same profile always gives the same file. */
export function* foldedLines(stacks: Iterable<FoldedStack>): Generator<string, void, undefined> {
  const counts = new Map<string, number>();
  for (const { frames, count } of stacks) {
    const key = frames.map(frameText).join(';');
    counts.set(key, (counts.get(key) ?? 0) + count);
  }
  for (const key of [...counts.keys()].sort()) yield `${key} ${counts.get(key) ?? 0}\n`;
}

/** Replaces the format's delimiters and control characters in a name: symbol names come from untrusted files. */
function frameText(frame: string): string {
  return frame.replaceAll(';', ':').replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?') || '?';
}
