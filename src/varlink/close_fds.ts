import { native, type Fd, type LaneUser } from '../native.js';

/**
 * Closes every fd, also when one fails (EBADF: a bug that must show); the first failure is thrown at the end.
 * @param lane of the user who can make closing hang; null: closed at once
 */
export function closeFds(fds: readonly Fd[], lane: LaneUser | null = null): void {
  if (lane !== null) {
    if (fds.length > 0) native.closeInLane(lane, fds, null);
    return;
  }
  const failures: unknown[] = [];
  for (const fd of fds) {
    try {
      native.close(fd);
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}
