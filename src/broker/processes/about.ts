/** The subject of a request to a helper process: where a lock can keep the request waiting, and which user can hold that lock. */
import type { SubordinateUids } from '../../model/identity/subordinate_uids.js';
import type { PinnedTarget } from './targets.js';

export interface About {
  /** A process by pid and start time, or cpus. They are named in errors. */
  readonly targets: readonly string[];
  /** SubordinateUids.userOf the target process; {@link NO_OWNER} for cpus. */
  readonly owner: number;
}

/** Owner of cpus. No uid is negative, and SHARED_USER is -2. */
export const NO_OWNER = -1;

/** For a request that waits for no task and no cpu. */
export const NO_TARGET: About = { targets: [], owner: NO_OWNER };

/**
 * perf_event_open(2) takes the mutex of the perf context of the task. An event without a task, such as a cgroup's, belongs to the
 * context of its cpu (find_get_context, kernel/events/core.c). The events of a process on chosen cpus belong to its tasks.
 * @param cpus where events are opened
 */
export function aboutTarget(
  target: PinnedTarget,
  cpus: readonly number[],
  users: Pick<SubordinateUids, 'userOf'>,
): About {
  if (target.kind !== 'process') return { targets: [...new Set(cpus)].map((cpu) => `cpu ${cpu}`), owner: NO_OWNER };
  const { pid, startTime, uids, sameUserNamespace } = target.process;
  // The real uid: the setuid programs that a user starts are its own targets.
  const owner = users.userOf({ uid: uids[0], sameUserNamespace });
  return { targets: [`process ${pid} (start time ${startTime})`], owner };
}
