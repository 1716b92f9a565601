/** Which actions of polkit stand for what a rule asks about. */
import type { EventClass, EventSpec } from '../../model/event.js';
import { modeOf } from './needs.js';

/** Without the prefix `org.perfbroker.`; the strongest first, the order in which they are asked. */
export const AUTHORIZATION_ACTIONS = [
  'administer',
  'downgrade',
  'system-wide',
  'other-user',
  'kernel',
  'sample-own',
  'count-own',
] as const;
export type AuthorizationAction = (typeof AUTHORIZATION_ACTIONS)[number];

/** The action that covers a class; `user` alone needs none of these. */
const OF_CLASS: Readonly<Record<EventClass, AuthorizationAction | null>> = {
  user: null,
  kernel: 'kernel',
  'other-users': 'other-user',
  'system-wide': 'system-wide',
  tracepoint: 'kernel',
  raw: 'kernel',
  breakpoint: 'kernel',
};

/** `org.perfbroker.sample-own`. */
export function actionId(action: AuthorizationAction): string {
  return `org.perfbroker.${action}`;
}

/**
 * The actions that all have to be authorized before a request of these classes is carried out; at least one.
 * @param classes as the verdict has them
 */
export function actionsForEvents(
  classes: readonly EventClass[],
  events: readonly EventSpec[],
): readonly AuthorizationAction[] {
  const needed = new Set(classes.map((name) => OF_CLASS[name]).filter((action) => action !== null));
  if (needed.size === 0) needed.add(events.some((event) => modeOf(event) === 'sampling') ? 'sample-own' : 'count-own');
  return AUTHORIZATION_ACTIONS.filter((action) => needed.has(action));
}
