import type { SubordinateUids } from '../../model/identity/subordinate_uids.js';
import { NO_OWNER, type LockScope } from '../ipc/lock_scope.js';
import type { PinnedTarget } from './targets.js';

/**
 * The lock scope of opening events for `target`. perf_event_open(2) takes the mutex of the perf context of the task. An event without a
 * task, such as a cgroup's, belongs to the context of its cpu (find_get_context, kernel/events/core.c). The events of a process on
 * chosen cpus belong to its tasks.
 * @param cpus where events are opened
 */
export function lockScopeOf(
  target: PinnedTarget,
  cpus: readonly number[],
  users: Pick<SubordinateUids, 'userOf'>,
): LockScope {
  if (target.kind !== 'process') return { targets: [...new Set(cpus)].map((cpu) => `cpu ${cpu}`), owner: NO_OWNER };
  const { pid, startTime, uids, sameUserNamespace } = target.process;
  // The real uid: the setuid programs that a user starts are its own targets.
  const owner = users.userOf({ uid: uids[0], sameUserNamespace });
  return { targets: [`process ${pid} (start time ${startTime})`], owner };
}
