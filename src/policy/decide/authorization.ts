/** Actions of polkit that authorize a request. */
import type { EventClass, EventSpec } from '../../model/event.js';
import { modeOf } from './needs.js';

/** Names without the prefix `org.perfbroker.`, the strongest first: the order in which they are requested. */
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

/** Action that authorizes a class; null: the class needs none. */
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
 * Actions that must all be authorized for a request; at least one.
 * @param classes of the verdict
 */
export function actionsForEvents(
  classes: readonly EventClass[],
  events: readonly EventSpec[],
): readonly AuthorizationAction[] {
  const needed = new Set(classes.map((name) => OF_CLASS[name]).filter((action) => action !== null));
  if (needed.size === 0) needed.add(events.some((event) => modeOf(event) === 'sampling') ? 'sample-own' : 'count-own');
  return AUTHORIZATION_ACTIONS.filter((action) => needed.has(action));
}
