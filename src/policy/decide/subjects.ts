import { isAdministrator, type Subject } from '../../model/identity/subject.js';
import { isKnownCgroup, matchesUnit, unitOfCgroup } from './cgroup.js';
import type { Rule, RuleSubjects } from '../types.js';

/**
 * True when a rule applies to the subject. A rule that allows or asks needs certainty. A rule that denies also applies to a
 * subject that may be one of those it names: a user can leave a group or borrow a uid, but cannot join a group.
 */
export function appliesTo({ verdict, subjects }: Pick<Rule, 'verdict' | 'subjects'>, subject: Subject): boolean {
  return verdict === 'deny' ? mayBeNamed(subjects, subject) : isNamed(subjects, subject);
}

/**
 * True when the subject certainly is one of those that a rule names. Any one of the kinds is enough. Users are compared by
 * the uid of the connection, groups by its gid and supplementary groups, all of them as reported by the kernel.
 *
 * The unit comes from the cgroup path and not from `subject.unit`: only the outermost unit is systemd's.
 */
export function isNamed(rule: RuleSubjects, subject: Subject): boolean {
  return (
    rule.everyone ||
    (rule.administrator && isAdministrator(subject)) ||
    rule.uids.includes(subject.uid) ||
    rule.gids.some((gid) => gid === subject.gid || subject.groups.includes(gid)) ||
    (rule.units.length > 0 && matchesAnyUnit(rule.units, subject.cgroup))
  );
}

/** True when a deny rule applies to the subject: unless the subject certainly is none of those that the rule names. */
export function mayBeNamed(rule: RuleSubjects, subject: Subject): boolean {
  return isNamed(rule, subject) || subjectDoubt(rule, subject) !== undefined;
}

/**
 * Reason why a subject may be one that the rule names, to follow "because"; undefined when there is no doubt. In a user namespace
 * setgroups(2) drops every group and newuidmap(1) gives another uid, so a subject that may be many may be any subject. So may
 * a process whose own ids are not those of its connection: it may have taken the connection's from such a namespace.
 */
export function subjectDoubt(
  rule: RuleSubjects,
  { mayBeMany, sameUserNamespace, asConnected, cgroup }: Subject,
): string | undefined {
  if (mayBeMany) return sameUserNamespace ? 'its uid is a subordinate one' : 'it is in a user namespace of its own';
  if (!asConnected) return 'its process has other ids than its connection';
  return rule.units.length > 0 && !isKnownCgroup(cgroup) ? 'its unit is not known' : undefined;
}

function matchesAnyUnit(patterns: readonly string[], cgroup: string): boolean {
  const unit = unitOfCgroup(cgroup);
  return patterns.some((pattern) => matchesUnit(unit, pattern));
}
