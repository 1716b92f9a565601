import { readdirSync, readFileSync, statSync } from 'node:fs';
import { privilegesIn, statusFields } from '../../common/proc_status.js';

/** A privilege that this process has and must not have. */
export interface Excess {
  readonly tid: number;
  readonly what: string;
}

/**
 * Reads the status of every thread of this process: no capability in any set, not uid 0, no_new_privs and a seccomp
 * filter in force, not dumpable. The bounding set counts only without no_new_privs, which seals it.
 * @returns the excess of each thread; an empty list is the proof.
 */
export function unprivilegedProof(taskDirectory = '/proc/self/task'): readonly Excess[] {
  const excess: Excess[] = [];
  const tids = readdirSync(taskDirectory);
  if (tids.length === 0) excess.push({ tid: 0, what: `${taskDirectory} lists no thread` });
  for (const tid of tids) {
    const file = `${taskDirectory}/${tid}/status`;
    const fields = statusFields(readFileSync(file, 'latin1'));
    const report = (what: string): void => void excess.push({ tid: Number(tid), what });
    for (const what of privilegesIn(fields)) report(what);
    if (fields.get('NoNewPrivs') !== '1') report('no_new_privs is not set');
    if (fields.get('Seccomp') !== '2') report('no seccomp filter is in force');
    // The file belongs to the effective uid while the process is dumpable, else to root (task_dump_owner, fs/proc/base.c).
    if (fields.get('Uid')?.split(/\s+/)[1] === String(statSync(file).uid)) report('it is dumpable');
  }
  return excess;
}
