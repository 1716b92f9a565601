import { native, type Fd, type LaneUser } from '../native.js';

/**
 * Closes all fds, then throws the first failure, if any (EBADF: a bug that must be visible).
 * @param lane lane of the user who can make close(2) block; null: closes in this thread
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
