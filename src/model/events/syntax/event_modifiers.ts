/** The letters behind an event or group: `:u`, `:pp`, `:kD`. As get_event_modifier in perf's parse-events.c. */
import { EXCLUSIONS, type EventSpec, type Exclusion } from '../../event.js';

/** What each letter means, for messages. */
export const MODIFIERS =
  'u k h (levels), p pp ppp P (precise), G H (guest, host), I (not idle), S (read), D (pinned), e (exclusive)';

const LEVELS: Readonly<Record<string, Exclusion>> = { u: 'user', k: 'kernel', h: 'hv' };
const MACHINES: Readonly<Record<string, Exclusion>> = { G: 'guest', H: 'host' };
const UNSUPPORTED: Readonly<Record<string, string>> = {
  W: 'weak groups are not supported',
  b: 'counting by BPF is not supported',
};

/**
 * Applies modifiers on top of what `spec` already has (a group's come after its members' own).
 * @param maxPrecise what `P` stands for
 * @param fail called with the index of the letter; must not return
 */
export function applyModifiers(
  spec: EventSpec,
  letters: string,
  maxPrecise: number,
  fail: (index: number, problem: string) => never,
): EventSpec {
  const excluded = new Set(spec.exclude);
  let levelsChosen = excluded.has('user') || excluded.has('kernel') || excluded.has('hv');
  let machinesChosen = excluded.has('host') || (excluded.has('guest') && spec.preciseIp === 0);
  let precise = 0;
  const seen = new Set<string>();
  const changes: { preciseIp?: number; pinned?: boolean; exclusive?: boolean } = {};
  let isRead = spec.sampleType.includes('read');
  for (const [index, letter] of letters.split('').entries()) {
    if (letter !== 'p' && seen.has(letter)) fail(index, `modifier ${letter} is given twice`);
    seen.add(letter);
    const level = LEVELS[letter];
    const machine = MACHINES[letter];
    if (level !== undefined) {
      // The first level that is named leaves out the others.
      if (!levelsChosen) for (const other of Object.values(LEVELS)) excluded.add(other);
      levelsChosen = true;
      excluded.delete(level);
    } else if (machine !== undefined) {
      if (!machinesChosen) for (const other of Object.values(MACHINES)) excluded.add(other);
      machinesChosen = true;
      excluded.delete(machine);
    } else if (letter === 'p') {
      if (++precise > 3) fail(index, 'modifier p is given more than three times');
      changes.preciseIp = precise;
      // Precise events of guests do not exist on x86.
      if (!machinesChosen) excluded.add('guest');
    } else if (letter === 'P') changes.preciseIp = maxPrecise;
    else if (letter === 'I') excluded.add('idle');
    else if (letter === 'S') isRead = true;
    else if (letter === 'D') changes.pinned = true;
    else if (letter === 'e') changes.exclusive = true;
    else fail(index, `modifier ${JSON.stringify(letter)}: ${UNSUPPORTED[letter] ?? `it is none of ${MODIFIERS}`}`);
  }
  return {
    ...spec,
    ...changes,
    exclude: EXCLUSIONS.filter((name) => excluded.has(name)),
    sampleType: isRead && !spec.sampleType.includes('read') ? [...spec.sampleType, 'read'] : spec.sampleType,
  };
}
