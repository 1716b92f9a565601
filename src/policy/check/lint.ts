import { EVENT_CLASSES } from '../../model/event.js';
import type { Policy, Rule, RuleSubjects, RuleTargets } from '../types.js';

/** Warnings about rules that are valid but probably not intended; one sentence each, with the rule's place. */
export function lintPolicy({ rules }: Policy): readonly string[] {
  const warnings = rules.flatMap((rule, index) => {
    const shadow = rules.slice(0, index).find((earlier) => shadows(earlier, rule));
    const unreachable =
      shadow === undefined
        ? []
        : [
            `can never match: the earlier rule "${shadow.name}" (${shadow.where}) matches all of its requests; before = "${shadow.name}" puts this rule first`,
          ];
    return [...unreachable, ...lintRule(rule), ...lintDenial(rule, rules.slice(index + 1))].map(
      (text) => `${rule.where}: rule "${rule.name}" ${text}`,
    );
  });
  return rules.length === 0 ? ['there is no rule, so everything is denied'] : warnings;
}

function lintRule({ verdict, targets, classes, counting, sampling }: Rule): string[] {
  // A rule that denies catches its classes, whether or not its own targets need them.
  if (verdict === 'deny' || !(counting || sampling)) return [];
  const warnings: string[] = [];
  const namesMany = targets.system || coversCgroups(targets);
  const namesOthers = targets.anyUser || targets.uids.length > 0;
  const isEverything = classes.length === EVENT_CLASSES.length;
  if (classes.includes('system-wide') && !namesMany && !isEverything) {
    warnings.push('names class system-wide, but no target that needs it (system, any_cgroup, or cgroups of any_user)');
  }
  if (!classes.includes('system-wide') && (targets.system || targets.anyCgroup)) {
    warnings.push('names system or any_cgroup, but not class system-wide, which these targets need');
  }
  if (classes.includes('other-users') && !namesOthers && !isEverything) {
    warnings.push('names class other-users, but only targets of the same user');
  }
  if (!classes.includes('other-users') && namesOthers) {
    warnings.push("names any_user or users, but not class other-users: it only covers the caller's own processes");
  }
  if (!classes.some((name) => name !== 'system-wide' && name !== 'other-users')) {
    warnings.push('names no class of events (user, raw, breakpoint, tracepoint, kernel), so it allows none');
  }
  return warnings;
}

/** A process can avoid a denial by group or unit, so a later rule may allow what this one denies. */
function lintDenial(rule: Rule, later: readonly Rule[]): string[] {
  if (rule.verdict !== 'deny' || rule.subjects.everyone) return [];
  const letsIn = later.find((other) => letsInDenied(rule, other));
  if (letsIn === undefined) return [];
  const then = `rule "${letsIn.name}" (${letsIn.where}) may then allow it; also name the users`;
  const warnings: string[] = [];
  if (rule.subjects.gids.length > 0) {
    warnings.push(
      `denies by groups, but a process that started before its user joined the group is not in it: ${then}`,
    );
  }
  if (rule.subjects.units.length > 0) {
    warnings.push(`denies by units, but a user can start processes in other units (at, cron, systemd-run): ${then}`);
  }
  return warnings;
}

/** @returns whether a rule allows a subject that avoids the groups and units of a deny rule. Administrators need no rule. */
function letsInDenied(denial: Rule, { verdict, subjects, classes, ...modes }: Rule): boolean {
  const names = denial.subjects;
  return (
    verdict !== 'deny' &&
    ((modes.downgrade && denial.downgrade) ||
      (((modes.counting && denial.counting) || (modes.sampling && denial.sampling)) &&
        classes.some((name) => denial.classes.includes(name)))) &&
    (subjects.everyone ||
      !isSubset(subjects.uids, names.uids) ||
      !isSubset(subjects.gids, names.gids) ||
      !isSubset(subjects.units, names.units))
  );
}

function coversCgroups(targets: RuleTargets): boolean {
  const narrows = targets.units.length + targets.cgroups.length > 0 && targets.executables.length === 0;
  return targets.anyCgroup || (targets.anyUser && narrows);
}

/** @returns whether `earlier` certainly matches every request that `later` matches */
function shadows(earlier: Rule, later: Rule): boolean {
  return (
    includesSubjects(earlier.subjects, later.subjects) &&
    includesTargets(earlier.targets, later.targets) &&
    isSubset(later.classes, earlier.classes) &&
    (earlier.counting || !later.counting) &&
    (earlier.sampling || !later.sampling) &&
    (earlier.downgrade || !later.downgrade)
  );
}

function includesSubjects(earlier: RuleSubjects, later: RuleSubjects): boolean {
  return (
    earlier.everyone ||
    (!later.everyone &&
      (earlier.administrator || !later.administrator) &&
      isSubset(later.uids, earlier.uids) &&
      isSubset(later.gids, earlier.gids) &&
      isSubset(later.units, earlier.units))
  );
}

function includesTargets(earlier: RuleTargets, later: RuleTargets): boolean {
  return (
    (earlier.anyUser ||
      (!later.anyUser && (earlier.sameUser || !later.sameUser) && isSubset(later.uids, earlier.uids))) &&
    (earlier.system || !later.system) &&
    (earlier.anyCgroup || !coversCgroups(later)) &&
    isNarrowedLess(earlier.units, later.units) &&
    isNarrowedLess(earlier.cgroups, later.cgroups) &&
    isNarrowedLess(earlier.executables, later.executables)
  );
}

/** @returns whether `earlier` does not narrow the targets, or has at least the names of `later` */
function isNarrowedLess(earlier: readonly string[], later: readonly string[]): boolean {
  return earlier.length === 0 || (later.length > 0 && isSubset(later, earlier));
}

function isSubset<Item>(items: readonly Item[], of: readonly Item[]): boolean {
  return items.every((item) => of.includes(item));
}
