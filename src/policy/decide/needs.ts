/** Classes and modes that a request needs. */
import { isOwnProcess } from '../../model/identity/access.js';
import { eventClasses } from '../../model/events/classify.js';
import { EVENT_CLASSES, type EventClass, type EventSpec } from '../../model/event.js';
import type { Subject } from '../../model/identity/subject.js';
import type { Target } from '../../model/identity/target.js';
import type { PolicyRequest } from '../types.js';

export type Mode = 'counting' | 'sampling';

/** Classes that the request as a whole needs, in the order of EVENT_CLASSES. Every event is opened on every target. */
export function neededClasses({ subject, targets, events }: PolicyRequest): readonly EventClass[] {
  const needed = new Set([
    ...events.flatMap(classesOfEvent),
    ...targets.flatMap((target) => classesOfTarget(target, subject)),
  ]);
  return EVENT_CLASSES.filter((name) => needed.has(name));
}

export function classesOfEvent(event: EventSpec): readonly EventClass[] {
  const classes = eventClasses(event);
  // Every event needs a permission.
  return classes.length === 0 ? ['user'] : classes;
}

/** An administrator also needs `other-users`: the ceiling may exclude it for the whole machine. */
export function classesOfTarget(target: Target, subject: Subject): readonly EventClass[] {
  if (target.kind !== 'process') return ['system-wide'];
  return isOwnProcess(subject, target.process) ? [] : ['other-users'];
}

/**
 * Records of the target's mappings, children and names reveal more than a count, so an event that writes them counts as
 * sampling even when it never samples.
 */
export function modeOf(event: EventSpec): Mode {
  return event.sampling === undefined && event.records.length === 0 ? 'counting' : 'sampling';
}
