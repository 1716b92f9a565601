import { readdirSync } from 'node:fs';
import { Rollback } from '../../../common/rollback.js';
import { brokerError } from '../../../model/errors/error_table.js';
import type { IdTriple } from '../../../model/identity/target.js';
import { native, type Fd, type NativeError } from '../../../native.js';
import { releaseTargets, type ProcessTarget } from '../../processes/targets.js';
import { readProcess, readStat } from '../../processes/proc.js';
import type { Work } from '../../fairness/work.js';

/** Descendants that one request can downgrade together with its target. */
const MAX_DESCENDANTS = 256;

/**
 * Pins the living descendants of `ancestors` that run under the same uids as the first ancestor and are not ancestors themselves.
 * A process whose parent has ended has another parent, and is not found any more.
 * @returns the pinned processes, parents before children; they belong to the caller
 */
export async function pinDescendants(ancestors: readonly ProcessTarget[], work: Work): Promise<ProcessTarget[]> {
  const first = ancestors[0];
  if (first === undefined) return [];
  const children = await readChildren(work);
  const known = new Set(ancestors.map(({ process }) => process.pid));
  const pinned: ProcessTarget[] = [];
  using pins = new Rollback(() => releaseTargets(pinned));
  const queue = [...known];
  for (let parent = queue.shift(); parent !== undefined; parent = queue.shift()) {
    for (const pid of children.get(parent) ?? []) {
      if (known.has(pid)) continue;
      known.add(pid);
      // A process with other ids can have children with the same ids.
      queue.push(pid);
      if (work.turnIsOver) await work.nextTurn();
      const target = work.timed(() => pin(pid, parent, first.process.uids));
      if (target !== null) pinned.push(target);
      if (ancestors.length - 1 + pinned.length > MAX_DESCENDANTS)
        throw brokerError(
          'DowngradeRefused',
          'too-many-processes',
          `process ${first.process.pid} has more than ${MAX_DESCENDANTS} descendants`,
        );
    }
  }
  pins.keep();
  return pinned;
}

/**
 * @returns null when the process runs under other ids, has ended, or has another parent: then the pid can be that of a new process
 */
function pin(pid: number, parent: number, uids: IdTriple): ProcessTarget | null {
  const fd = openPidfd(pid);
  if (fd === null) return null;
  using pin = new Rollback(() => native.close(fd));
  const process = readProcess(pid);
  const sameUids = process?.uids.every((uid, index) => uid === uids[index]) === true;
  if (!sameUids || parentOf(pid) !== parent || !native.pidfdAlive(fd)) return null;
  pin.keep();
  return { kind: 'process', fd, process: Object.freeze(process), tid: null };
}

/** Null when there is no process with this pid any more. Any other error ends the request: a child must not be left out in silence. */
function openPidfd(pid: number): Fd | null {
  try {
    return native.pidfdOpen(pid);
  } catch (error) {
    if (['ESRCH', 'EINVAL', 'ENOENT'].includes((error as NativeError).code)) return null;
    throw error;
  }
}

/** Children by parent, for all processes. */
async function readChildren(work: Work): Promise<ReadonlyMap<number, readonly number[]>> {
  const children = new Map<number, number[]>();
  for (const name of work.timed(() => readdirSync('/proc'))) {
    if (!/^[1-9]\d*$/.test(name)) continue;
    if (work.turnIsOver) await work.nextTurn();
    const parent = work.timed(() => parentOf(Number(name)));
    if (parent === null) continue;
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [Number(name)]);
    else siblings.push(Number(name));
  }
  return children;
}

/** Field 4 of the stat file; null when the process has ended, or hidepid= of proc(5) hides it as a process of another user. */
function parentOf(pid: number): number | null {
  try {
    const stat = readStat(pid);
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch (error) {
    if (['ESRCH', 'ENOENT', 'EPERM', 'EACCES'].includes((error as NativeError).code)) return null;
    throw error;
  }
}
