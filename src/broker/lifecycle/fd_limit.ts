import { readFileSync } from 'node:fs';
import type { Policy } from '../../policy/types.js';
import { MAX_RUNNING, MAX_WORKERS_PER_USER } from '../ipc/helper_client.js';
import { MAX_CONNECTIONS } from '../fairness/connection_quota.js';

/** Sockets and peers' pidfds, and what node itself has open. */
const FDS_PER_CONNECTION = 2;
const OWN_FDS = 64;
/** For each session of opener and tracer a channel, its other end, and a duplicate of the client's socket. */
const HELPER_FDS = 2 * 3 * MAX_RUNNING + MAX_WORKERS_PER_USER;
/** The event, the target's pidfd, which may be one for each, and what keeps its ring. */
const FDS_PER_EVENT = 3;

/** Hard limit of open files, Infinity when there is none or it can not be read. Node raises its soft one to it. */
export function readFdLimit(path = '/proc/self/limits'): number {
  const limit = /^Max open files +\S+ +(\d+)/m.exec(readFileSync(path, 'latin1'))?.[1];
  return limit === undefined ? Infinity : Number(limit);
}

/**
 * Whether one user alone, within what the policy gives to one, could use up the broker's fds: it keeps a duplicate of
 * every event, and its target. Null when not.
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
