/** Parameters of a polkit request: checked, and safe to show in a dialog. */
import dbus from 'dbus-next';
import { dialogText } from '../../common/dialog_text.js';
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

/** An invalid request, which is not sent to polkit. `field` names the invalid field. */
export class RequestError extends Error {
  readonly field: string;

  constructor(field: string, message: string) {
    super(message);
    this.name = 'RequestError';
    this.field = field;
  }
}

/** Signature of {@link subjectStruct}. */
export type SubjectStruct = readonly [kind: string, details: Record<string, dbus.Variant>];

const MAX_INT32 = 0x7fff_ffff;
const MAX_UINT64 = 2n ** 64n - 1n;
const UNIQUE_NAME = /^:\d{1,10}\.\d{1,10}$/;

/**
 * Returns polkit's Subject, `(sa{sv})`. The types must be exactly polkit's: it ignores a value of another type, and an ignored uid or
 * start time is not checked.
 * @throws RequestError
 */
export function subjectStruct({ uid, pid, startTime, busName }: Subject): SubjectStruct {
  // polkit's uid is an int32; -1 means unknown.
  if (!Number.isInteger(uid) || uid < 0 || uid > MAX_INT32)
    throw new RequestError('subject', `polkit does not support uid ${uid}`);
  if (busName !== undefined) {
    if (!UNIQUE_NAME.test(busName)) throw new RequestError('subject', 'busName is not a unique name');
    return ['system-bus-name', { name: new dbus.Variant('s', busName) }];
  }
  if (!Number.isInteger(pid) || pid <= 0 || pid > MAX_INT32) throw new RequestError('subject', 'pid is not a pid');
  const ticks = /^\d{1,20}$/.test(startTime) ? BigInt(startTime) : 0n;
  // For 0, polkit would look up the start time of the process that has this pid now.
  if (ticks <= 0n || ticks > MAX_UINT64) throw new RequestError('subject', 'startTime is not a start time');
  const details = {
    pid: new dbus.Variant('u', pid),
    'start-time': new dbus.Variant('t', ticks),
    uid: new dbus.Variant('i', uid),
  };
  return ['unix-process', details];
}

const MAX_DETAILS = 8;
/** polkit reads details of its own, with a dot in the name: `polkit.message` would be another text of the dialog. */
const DETAIL_KEY = /^[a-z]{1,32}$/;

/** @throws RequestError */
export function detailsDictionary(details: Readonly<Record<string, string>>): Record<string, string> {
  const entries = Object.entries(details);
  if (entries.length > MAX_DETAILS) throw new RequestError('details', `more than ${MAX_DETAILS} details`);
  for (const [key] of entries) if (!DETAIL_KEY.test(key)) throw new RequestError('details', 'a key is not a name');
  return Object.fromEntries(entries.map(([key, text]) => [key, dialogText(text)]));
}

/** Checks the action. @throws RequestError for an unknown action */
export function checkAction(action: string): string {
  if (!ACTIONS.some((known) => known === action)) throw new RequestError('action', 'unknown action');
  return action;
}
