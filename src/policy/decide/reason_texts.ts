import type { Subject } from '../../model/identity/subject.js';
import type { Target } from '../../model/identity/target.js';
import { quote } from '../../common/quote.js';
import { isNamed, subjectDoubt } from './subjects.js';
import type { RuleSubjects } from '../types.js';

/** `process 4711 ("/usr/bin/python3.11", uid 1000)` */
export function describeTarget(target: Target): string {
  switch (target.kind) {
    case 'process': {
      const { pid, executable, uids } = target.process;
      const ids = new Set(uids).size === 1 ? `uid ${uids[0]}` : `uids ${uids.join('/')}`;
      return `process ${pid} (${quote(executable)}, ${ids})`;
    }
    case 'system':
      return 'the whole system';
    case 'cgroup':
      return `cgroup ${quote(target.path)}`;
  }
}

/** `uid 1000 (groups 1000, 27)` */
export function describeSubject({ uid, gid, groups }: Subject): string {
  const all = [...new Set([gid, ...groups])];
  const more = all.length > 16 ? ` and ${all.length - 16} more` : '';
  return `uid ${uid} (groups ${all.slice(0, 16).join(', ')}${more})`;
}

/** Clause that explains a denial of a subject that only may be named; empty when the rule names the subject. */
export function describeDoubt(rule: RuleSubjects, subject: Subject): string {
  const doubt = isNamed(rule, subject) ? undefined : subjectDoubt(rule, subject);
  return doubt === undefined ? '' : `; the rule may name the caller, because ${doubt}`;
}
