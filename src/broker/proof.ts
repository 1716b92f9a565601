import { readdirSync, readFileSync } from 'node:fs';

/** One thing that this process still has and should not. */
export interface Excess {
  readonly tid: number;
  readonly what: string;
}

const EMPTY_SETS = ['CapInh', 'CapPrm', 'CapEff', 'CapAmb'] as const;

/**
 * Reads the status of every thread of this process: no capability in any set, not uid 0, no_new_privs and a seccomp
 * filter in force. The bounding set counts only without no_new_privs, which seals it.
 * @returns what is too much, thread by thread; empty is the proof.
 */
export function unprivilegedProof(taskDirectory = '/proc/self/task'): readonly Excess[] {
  const excess: Excess[] = [];
  const tids = readdirSync(taskDirectory);
  if (tids.length === 0) excess.push({ tid: 0, what: `${taskDirectory} lists no thread` });
  for (const tid of tids) {
    const fields = statusFields(readFileSync(`${taskDirectory}/${tid}/status`, 'latin1'));
    const report = (what: string): void => void excess.push({ tid: Number(tid), what });
    for (const set of EMPTY_SETS)
      if (!/^0+$/.test(fields.get(set) ?? '')) report(`${set} is ${fields.get(set) ?? 'absent'}`);
    for (const ids of ['Uid', 'Gid'])
      if ((fields.get(ids) ?? '0').split(/\s+/).includes('0')) report(`${ids} is ${fields.get(ids) ?? 'absent'}`);
    if (fields.get('NoNewPrivs') !== '1') report('no_new_privs is not set');
    if (fields.get('Seccomp') !== '2') report('no seccomp filter is in force');
  }
  return excess;
}

/** `Name:\tvalue` lines of a proc status file. */
export function statusFields(text: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const line of text.split('\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  return fields;
}
