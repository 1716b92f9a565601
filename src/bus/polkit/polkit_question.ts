/** What polkit is asked, checked and made fit to be shown in a dialog. */
import dbus from 'dbus-next';
import type { Subject } from '../../interfaces/authorizer_types.js';

/** Every action of polkit/org.perfbroker.policy. */
export const ACTIONS = [
  'org.perfbroker.count-own',
  'org.perfbroker.sample-own',
  'org.perfbroker.other-user',
  'org.perfbroker.kernel',
  'org.perfbroker.system-wide',
  'org.perfbroker.downgrade',
  'org.perfbroker.administer',
] as const;

/** A question that must not be put to polkit; `field` is what is wrong with it. */
export class QuestionError extends Error {
  readonly field: string;

  constructor(field: string, message: string) {
    super(message);
    this.name = 'QuestionError';
    this.field = field;
  }
}

/** Signature of {@link subjectStruct}. */
export type SubjectStruct = readonly [kind: string, details: Record<string, dbus.Variant>];

const MAX_INT32 = 0x7fff_ffff;
const MAX_UINT64 = 2n ** 64n - 1n;
const UNIQUE_NAME = /^:\d{1,10}\.\d{1,10}$/;

/**
 * polkit's Subject, `(sa{sv})`. The types are polkit's to the letter: it ignores a value of another type, and a uid or
 * start time that is ignored is one that is not checked.
 * @throws QuestionError
 */
export function subjectStruct({ uid, pid, startTime, busName }: Subject): SubjectStruct {
  // polkit's uid is an int32, and -1 means unknown to it.
  if (!Number.isInteger(uid) || uid < 0 || uid > MAX_INT32)
    throw new QuestionError('subject', `polkit can not be asked about uid ${uid}`);
  if (busName !== undefined) {
    if (!UNIQUE_NAME.test(busName)) throw new QuestionError('subject', 'busName is no unique name');
    return ['system-bus-name', { name: new dbus.Variant('s', busName) }];
  }
  if (!Number.isInteger(pid) || pid <= 0 || pid > MAX_INT32) throw new QuestionError('subject', 'pid is no pid');
  const ticks = /^\d{1,20}$/.test(startTime) ? BigInt(startTime) : 0n;
  // For 0 polkit looks the start time up by itself: then it would speak of whoever has this pid now.
  if (ticks <= 0n || ticks > MAX_UINT64) throw new QuestionError('subject', 'startTime is no start time');
  const details = {
    pid: new dbus.Variant('u', pid),
    'start-time': new dbus.Variant('t', ticks),
    uid: new dbus.Variant('i', uid),
  };
  return ['unix-process', details];
}

const MAX_DETAILS = 8;
/** Characters of one detail. */
const MAX_DETAIL = 200;
/** polkit reads details of its own, with a dot in the name: `polkit.message` would be another text of the dialog. */
const DETAIL_KEY = /^[a-z]{1,32}$/;

/** @throws QuestionError */
export function detailsDictionary(details: Readonly<Record<string, string>>): Record<string, string> {
  const entries = Object.entries(details);
  if (entries.length > MAX_DETAILS) throw new QuestionError('details', `more than ${MAX_DETAILS} details`);
  for (const [key] of entries) if (!DETAIL_KEY.test(key)) throw new QuestionError('details', 'a key is no name');
  return Object.fromEntries(entries.map(([key, text]) => [key, printable(text)]));
}

/** Control and format characters (bidi overrides among them), line separators, unpaired surrogates. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu;
/** Agents exist that take the message for Pango or Qt markup. */
const MARKUP: Readonly<Record<string, string>> = { '<': '‹', '>': '›', '&': '＆' };

/** Names of programs come from their users: nothing in them moves, hides or dresses up the text of a dialog. */
export function printable(text: string): string {
  const characters = Array.from(text.slice(0, 2 * MAX_DETAIL + 2));
  const kept = characters.length > MAX_DETAIL ? [...characters.slice(0, MAX_DETAIL - 1), '…'] : characters;
  return kept
    .join('')
    .replaceAll(UNPRINTABLE, '\ufffd')
    .replaceAll(/[<>&]/g, (character) => MARKUP[character] ?? '');
}

/** @throws QuestionError when the action is none of ours */
export function checkAction(action: string): string {
  if (!ACTIONS.some((known) => known === action)) throw new QuestionError('action', 'no such action');
  return action;
}
