import type { Profile } from './profile.js';

/** A function of a profile. */
export interface HotFunction {
  readonly name: string;
  readonly object: string;
  /** Samples in the function itself. */
  self: number;
  /** Samples with the function anywhere on the stack. */
  total: number;
}

/** Functions of one event, sorted by samples in the function itself. @param event index into the file's events */
export function hottestFunctions(profile: Pick<Profile, 'stacks'>, event: number): readonly HotFunction[] {
  const functions = new Map<string, HotFunction>();
  for (const stack of profile.stacks) {
    if (stack.event !== event) continue;
    const seen = new Set<HotFunction>();
    let last: HotFunction | undefined;
    for (const { name, object } of stack.frames) {
      const key = `${object}\n${name}`;
      let entry = functions.get(key);
      if (entry === undefined) functions.set(key, (entry = { name, object, self: 0, total: 0 }));
      // Recursion: one sample counts once.
      if (!seen.has(entry)) entry.total += stack.samples;
      seen.add(entry);
      last = entry;
    }
    if (last !== undefined) last.self += stack.samples;
  }
  return [...functions.values()].sort((a, b) => b.self - a.self || b.total - a.total || (a.name < b.name ? -1 : 1));
}
