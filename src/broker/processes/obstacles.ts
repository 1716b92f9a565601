import type { Subject } from '../../model/identity/subject.js';
import type { Mismatch } from '../ipc/opener_protocol.js';
import type { ProcessTarget } from './targets.js';

/** A text for an error. */
export type Obstacle =
  | Mismatch
  | 'the caller is not dumpable'
  | 'the caller changed its ids after it connected'
  | 'the caller was not identified';

/**
 * Obstacles between a client and its target, as opener and tracer report them. They examine the client only while it is dumpable and has
 * the ids that it connected with (examine_client, native/core/client.cc). For any other client they report user-namespace, and the
 * capabilities of the target: these are replaced by the obstacle that the broker knows.
 */
export function accessObstacles(
  reported: readonly Mismatch[],
  subject: Subject,
  { process: target }: ProcessTarget,
): readonly Obstacle[] {
  const inAnother = !subject.sameUserNamespace || !target.sameUserNamespace;
  if (inAnother || !reported.includes('user-namespace')) return reported;
  const examined: Mismatch[] = ['user-namespace', 'capabilities'];
  return [...reported.filter((obstacle) => !examined.includes(obstacle)), obstacleOfClient(subject)];
}

function obstacleOfClient({ dumpable, ownIds }: Subject): Obstacle {
  if (!dumpable) return 'the caller is not dumpable';
  return ownIds ? 'the caller was not identified' : 'the caller changed its ids after it connected';
}
