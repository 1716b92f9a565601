/** Access of the broker's user to policy files, for a check that runs as another user. */
import { closeSync, constants, openSync, statSync, type Stats } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { PolicyProblem } from '../error.js';
import type { NameResolver } from '../load/names.js';

/** User of the broker, and its ids where that user does not exist (native/monitor/options.cc). */
const BROKER = 'perfbroker';
const FALLBACK_ID = 60910;

/** The monitor clears the supplementary groups. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** Returns the ids that the broker runs under, unless `perfbrokerd --user` names another user. */
export function brokerAccount({ user, group }: NameResolver): Account {
  const uid = user(BROKER);
  return uid === undefined ? { uid: FALLBACK_ID, gid: FALLBACK_ID } : { uid, gid: group(BROKER) ?? uid };
}

/** Finds what keeps a user from opening a file or directory to read it. @returns undefined when nothing does */
export type FindObstacle = (path: string) => PolicyProblem | undefined;

/** The kernel decides for root, which takes on the ids of the user for a moment. Other users only see owners and modes. */
export function obstacleFor(account: Account): FindObstacle {
  return (path) => {
    try {
      if (process.geteuid?.() === 0) return asUser(account, () => obstacle(path, account, openable));
    } catch {
      // Root of a container may not change its ids.
    }
    return obstacle(path, account, (each, kind) => permits(statSync(each), account, kind));
  };
}

type Access = (path: string, kind: 'search' | 'read') => boolean;

function obstacle(path: string, { uid, gid }: Account, access: Access): PolicyProblem | undefined {
  const file = resolve(path);
  const who = `the broker's user (uid ${uid})`;
  const unsearchable = directoriesAbove(file).find((each) => !access(each, 'search'));
  if (unsearchable !== undefined)
    return {
      file: unsearchable,
      message: `${who} cannot search the directory`,
      remedy: `Keep the policy in a directory such as /etc/perfbroker, or let uid ${uid} or gid ${gid} search this one.`,
    };
  if (access(file, 'read')) return undefined;
  return { file: path, message: `${who} cannot read it`, remedy: `Let uid ${uid} or gid ${gid} read it.` };
}

/** From the root on. */
function directoriesAbove(path: string): readonly string[] {
  const parent = dirname(path);
  return parent === path ? [] : [...directoriesAbove(parent), parent];
}

function openable(path: string, kind: 'search' | 'read'): boolean {
  try {
    // Looking up a name in a directory requires the right to search it.
    if (kind === 'search') statSync(`${path}/.`);
    else closeSync(openSync(path, constants.O_RDONLY | constants.O_NONBLOCK));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EACCES') return false;
    throw error;
  }
}

/** Permission bits of a file for a user (path_resolution(7)). */
export function permits(
  status: Pick<Stats, 'uid' | 'gid' | 'mode'>,
  account: Account,
  kind: 'search' | 'read',
): boolean {
  const shift = status.uid === account.uid ? 6 : status.gid === account.gid ? 3 : 0;
  return ((status.mode >> shift) & (kind === 'search' ? 1 : 4)) !== 0;
}

function asUser<Result>({ uid, gid }: Account, action: () => Result): Result {
  const groups = process.getgroups?.() ?? [];
  const ownGid = process.getegid?.() ?? 0;
  try {
    process.setgroups?.([]);
    process.setegid?.(gid);
    process.seteuid?.(uid);
    return action();
  } finally {
    process.seteuid?.(0);
    process.setegid?.(ownGid);
    process.setgroups?.(groups);
  }
}
