import { readFileSync } from 'node:fs';
import type { Policy } from '../../policy/types.js';
import { MAX_RUNNING, MAX_WORKERS_PER_USER } from '../ipc/helper_client.js';
import { MAX_CONNECTIONS } from '../fairness/connection_quota.js';

/** The socket and the pidfd of its client. Node itself has OWN_FDS open. */
const FDS_PER_CONNECTION = 2;
const OWN_FDS = 64;
/** Each session of opener and tracer has a channel, its other end, and a duplicate of the client's socket. */
const HELPER_FDS = 2 * 3 * MAX_RUNNING + MAX_WORKERS_PER_USER;
/** The event, the anchor of its ring, and the pidfd of its target, which each event may have one of its own. */
const FDS_PER_EVENT = 3;

/** Hard limit of open files; Infinity when it is not set or cannot be read. Node raises its soft limit to it. */
export function readFdLimit(path = '/proc/self/limits'): number {
  const limit = /^Max open files +\S+ +(\d+)/m.exec(readFileSync(path, 'latin1'))?.[1];
  return limit === undefined ? Infinity : Number(limit);
}

/**
 * Warning for a limit of open files that one user alone could use up within the policy: the broker keeps a duplicate of each event, and its
 * target. Null when the limit is high enough.
 */
export function fdLimitWarning(policy: Policy, limit: number): string | null {
  const ofOneUser = policy.rules.reduce(
    (most, { verdict, limits }) => (verdict === 'deny' ? most : Math.max(most, limits.fds)),
    0,
  );
  const needed = OWN_FDS + HELPER_FDS + MAX_CONNECTIONS * FDS_PER_CONNECTION + FDS_PER_EVENT * ofOneUser;
  return limit >= needed
    ? null
    : `the limit of open files is ${limit}, and the policy's limits need ${needed}: requests may fail with EMFILE. ` +
        "Raise LimitNOFILE= of the unit (or the starter's ulimit -n), or lower fds of the rules";
}
