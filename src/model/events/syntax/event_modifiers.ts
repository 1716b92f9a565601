/** Letters after an event or group: `:u`, `:pp`, `:kD`. As get_event_modifier in perf's parse-events.c. */
import { quote } from '../../../common/quote.js';
import { EXCLUSIONS, type EventSpec, type Exclusion } from '../../event.js';
import { EXCLUSION_MODIFIERS, FIELD_MODIFIERS, type FlagField } from '../../event_flags.js';

/** Meaning of each letter, for messages. */
export const MODIFIERS =
  'u k h (levels), p pp ppp P (precise), G H (guest, host), I (not idle), S (read), D (pinned), e (exclusive)';

const EXCLUSION_OF: ReadonlyMap<string, Exclusion> = new Map(EXCLUSION_MODIFIERS);
const FIELD_OF: ReadonlyMap<string, FlagField> = new Map(FIELD_MODIFIERS);
/** A letter of these selects: the first one excludes the others of its list. */
const CHOICES: Readonly<Record<'levels' | 'machines', readonly Exclusion[]>> = {
  levels: ['user', 'kernel', 'hv'],
  machines: ['guest', 'host'],
};
const UNSUPPORTED: Readonly<Record<string, string>> = {
  W: 'weak groups are not supported',
  b: 'counting by BPF is not supported',
};

/**
 * Applies modifiers to an event that may already have some (those of a group come after those of its members).
 * @param maxPrecise precision of `P`
 * @param fail called with the index of the letter; must not return
 */
export function applyModifiers(
  spec: EventSpec,
  letters: string,
  maxPrecise: number,
  fail: (index: number, problem: string) => never,
): EventSpec {
  const excluded = new Set(spec.exclude);
  const chosen = {
    levels: CHOICES.levels.some((level) => excluded.has(level)),
    machines: excluded.has('host') || (excluded.has('guest') && spec.preciseIp === 0),
  };
  let precise = 0;
  const seen = new Set<string>();
  const changes: { preciseIp?: number } & Partial<Record<FlagField, boolean>> = {};
  let isRead = spec.sampleType.includes('read');
  for (const [index, letter] of letters.split('').entries()) {
    if (letter !== 'p' && seen.has(letter)) fail(index, `modifier ${letter} is given twice`);
    seen.add(letter);
    const exclusion = EXCLUSION_OF.get(letter);
    const field = FIELD_OF.get(letter);
    const choice = exclusion === undefined ? undefined : choiceOf(exclusion);
    if (exclusion !== undefined && choice !== undefined) {
      if (!chosen[choice]) for (const other of CHOICES[choice]) excluded.add(other);
      chosen[choice] = true;
      excluded.delete(exclusion);
    } else if (exclusion !== undefined) excluded.add(exclusion);
    else if (field !== undefined) changes[field] = true;
    else if (letter === 'p') {
      if (++precise > 3) fail(index, 'modifier p is given more than three times');
      changes.preciseIp = precise;
      // Precise events of guests do not exist on x86.
      if (!chosen.machines) excluded.add('guest');
    } else if (letter === 'P') changes.preciseIp = maxPrecise;
    else if (letter === 'S') isRead = true;
    else fail(index, `modifier ${quote(letter)}: ${UNSUPPORTED[letter] ?? `it is not one of ${MODIFIERS}`}`);
  }
  return {
    ...spec,
    ...changes,
    exclude: EXCLUSIONS.filter((name) => excluded.has(name)),
    sampleType: isRead && !spec.sampleType.includes('read') ? [...spec.sampleType, 'read'] : spec.sampleType,
  };
}

function choiceOf(exclusion: Exclusion): keyof typeof CHOICES | undefined {
  if (CHOICES.levels.includes(exclusion)) return 'levels';
  return CHOICES.machines.includes(exclusion) ? 'machines' : undefined;
}
