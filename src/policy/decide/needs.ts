/** Classes and modes that a request needs. */
import { sameUserObstacles } from '../../model/identity/access.js';
import { callerObstacle } from './obstacles.js';
import { eventClasses } from '../../model/events/classify.js';
import { EVENT_CLASSES, type EventClass, type EventSpec } from '../../model/event.js';
import type { Subject } from '../../model/identity/subject.js';
import type { Target } from '../../model/identity/target.js';
import type { PolicyRequest } from '../types.js';

export type Mode = 'counting' | 'sampling';

/**
 * Classes that the request as a whole needs, in the order of EVENT_CLASSES. Every event is opened on every target. Where the
 * ceiling excludes `other-users`, the opener checks the caller itself, and no process is the own one of a caller that it cannot verify.
 */
export function neededClasses({ subject, targets, events, ceiling }: PolicyRequest): readonly EventClass[] {
  const needed = new Set([
    ...events.flatMap(classesOfEvent),
    ...targets.flatMap((target) => classesOfTarget(target, subject)),
  ]);
  if (!ceiling.includes('other-users') && callerObstacle(subject) !== undefined && targets.some(isProcess))
    needed.add('other-users');
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
  return sameUserObstacles(subject, target.process).length === 0 ? [] : ['other-users'];
}

function isProcess({ kind }: Target): boolean {
  return kind === 'process';
}

/**
 * Records of the target's mappings, children and names reveal more than a count, so an event that writes them counts as
 * sampling even when it never samples.
 */
export function modeOf(event: EventSpec): Mode {
  return event.sampling === undefined && event.records.length === 0 ? 'counting' : 'sampling';
}
