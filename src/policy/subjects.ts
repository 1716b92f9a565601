import { isAdministrator, type Subject } from '../model/subject.js';
import { matchesUnit, unitOfCgroup } from './cgroup.js';
import type { RuleSubjects } from './types.js';

/**
 * Is the subject one of those a rule names? Any one of the kinds is enough. Users are compared by the uid of the
 * connection, groups by its gid and supplementary groups, all of them the kernel's word.
 *
 * The unit is taken from the cgroup path here, whatever `subject.unit` says: only the outermost one is systemd's.
 */
export function matchesSubject(rule: RuleSubjects, subject: Subject): boolean {
  return (
    rule.everyone ||
    (rule.administrator && isAdministrator(subject)) ||
    rule.uids.includes(subject.uid) ||
    rule.gids.some((gid) => gid === subject.gid || subject.groups.includes(gid)) ||
    (rule.units.length > 0 && matchesAnyUnit(rule.units, subject.cgroup))
  );
}

function matchesAnyUnit(patterns: readonly string[], cgroup: string): boolean {
  const unit = unitOfCgroup(cgroup);
  return patterns.some((pattern) => matchesUnit(unit, pattern));
}
