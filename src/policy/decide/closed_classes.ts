/** Reasons of a request that needs classes which the ceiling of the daemon excludes. */
import type { EventClass } from '../../model/event.js';
import type { PolicyRequest, Reason } from '../types.js';
import { obstacleOf, type Obstacle } from './obstacles.js';
import { describeTarget } from './reason_texts.js';

/** Targets of class other-users that get a reason of their own; a request may hold hundreds. */
const MAX_TARGETS = 3;

/** For a target that is not the caller's own, the obstacle follows as a reason with its own code. */
export function closedClasses(closed: readonly EventClass[], request: PolicyRequest): readonly Reason[] {
  return closed.flatMap((name) => (name === 'other-users' ? closedTargets(request) : [closedClass(name, '')]));
}

function closedClass(name: EventClass, why: string): Reason & { readonly code: 'ceiling' } {
  const text = `the ceiling of this daemon excludes class ${name} (perfbrokerd --ceiling)${why}`;
  return { code: 'ceiling', class: name, text };
}

function closedTargets({ subject, targets }: PolicyRequest): readonly Reason[] {
  const foreign = targets.flatMap((target) => {
    const obstacle = obstacleOf(subject, target);
    return obstacle === undefined ? [] : [{ name: describeTarget(target), obstacle }];
  });
  const [first] = foreign;
  if (first === undefined) return [closedClass('other-users', '')];
  const why = `, and ${first.name} does not count as the caller's own: ${first.obstacle.text}`;
  return [
    { ...closedClass('other-users', why), remedy: remedyFor(first.obstacle) },
    ...foreign.slice(0, MAX_TARGETS).map(({ name, obstacle }) => ({
      code: obstacle.code,
      text: `${name} does not count as the caller's own: ${obstacle.text}`,
      remedy: remedyFor(obstacle),
    })),
  ];
}

function remedyFor({ remedy }: Obstacle): string {
  return `${remedy} Or ask the administrator to add other-users to --ceiling of perfbrokerd, and for a rule that covers the target.`;
}
