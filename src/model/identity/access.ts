import type { ProcessIdentity } from './target.js';
import type { Subject } from './subject.js';

/** Obstacle that the kernel's ptrace read check with real credentials would find. Mirrors Mismatch in native/protocol/opener.h. */
export type AccessObstacle = 'uid' | 'gid' | 'not-dumpable' | 'capabilities' | 'user-namespace';

/** The obstacle that is hardest to remove comes first. In another user namespace a capability means nothing here. */
const BY_WEIGHT: readonly AccessObstacle[] = ['user-namespace', 'uid', 'gid', 'not-dumpable', 'capabilities'];

/** @returns the obstacle that a denial names with its code; undefined when there is none */
export function mainObstacle(obstacles: readonly AccessObstacle[]): AccessObstacle | undefined {
  return BY_WEIGHT.find((obstacle) => obstacles.includes(obstacle));
}

/**
 * True when the target is the caller's own process: nothing stands in the way of the caller, and the caller itself can be verified. A
 * caller that is not dumpable may be a setuid program. For one with several ids the kernel would compare the real ones, which are not
 * those of its connection.
 */
export function isOwnProcess(subject: Subject, target: ProcessIdentity): boolean {
  return isVerified(subject) && sameUserObstacles(subject, target).length === 0;
}

export function isVerified({ dumpable, ownIds }: Pick<Subject, 'dumpable' | 'ownIds'>): boolean {
  return dumpable && ownIds;
}

/**
 * Same-user access as ptrace(2) defines PTRACE_MODE_READ_REALCREDS: all of the target's real, effective and saved ids
 * equal the client's real ones, the target is dumpable, its permitted capabilities are a subset of the client's, and
 * it lives in the client's user namespace. The namespace of a process cannot be read without CAP_SYS_PTRACE, so
 * anything but "both in the broker's own" counts as an obstacle.
 * @returns every obstacle; empty means access.
 */
export function sameUserObstacles(
  subject: Pick<Subject, 'uid' | 'gid' | 'permitted' | 'sameUserNamespace'>,
  target: ProcessIdentity,
): readonly AccessObstacle[] {
  const obstacles: AccessObstacle[] = [];
  if (target.uids.some((uid) => uid !== subject.uid)) obstacles.push('uid');
  if (target.gids.some((gid) => gid !== subject.gid)) obstacles.push('gid');
  if (!target.dumpable) obstacles.push('not-dumpable');
  if ((target.permitted & ~subject.permitted) !== 0n) obstacles.push('capabilities');
  if (!target.sameUserNamespace || !subject.sameUserNamespace) obstacles.push('user-namespace');
  return obstacles;
}
