import { isOwnProcess } from '../../model/identity/access.js';
import type { Subject } from '../../model/identity/subject.js';
import type { ProcessIdentity, Target } from '../../model/identity/target.js';
import { isKnownCgroup, isWithinCgroup, matchesUnit, unitOfCgroup } from './cgroup.js';
import type { RuleTargets } from '../types.js';

/**
 * @returns whether a rule that allows or asks certainly covers `target`. same_user, users and any_user select owners (any one is
 * enough). units, cgroups and executables narrow the selection (each that is given must match, by any of its entries).
 */
export function covers(rule: RuleTargets, target: Target, subject: Subject): boolean {
  switch (target.kind) {
    case 'process':
      return (
        coversOwner(rule, target.process, subject) &&
        isWithinPlaces(rule, target.process.cgroup) &&
        (rule.executables.length === 0 || rule.executables.includes(target.process.executable))
      );
    case 'system':
      return rule.system;
    case 'cgroup':
      // A cgroup contains processes of any user, and any executable.
      return (
        rule.anyCgroup ||
        (rule.anyUser &&
          rule.executables.length === 0 &&
          rule.units.length + rule.cgroups.length > 0 &&
          isWithinPlaces(rule, target.path))
      );
  }
}

/**
 * @returns whether a deny rule catches `target`: unless the rule certainly does not name it. An unknown fact (the executable of a
 * process that the broker may not read) counts as a match, and a target of many processes is caught when the rule may name one of
 * them. A rule touches every target that it covers.
 */
export function touches(rule: RuleTargets, target: Target, subject: Subject): boolean {
  const namesProcesses = rule.sameUser || rule.anyUser || rule.uids.length > 0;
  switch (target.kind) {
    case 'process':
      return (
        touchesOwner(rule, target.process, subject) &&
        (!isKnownCgroup(target.process.cgroup) || isWithinPlaces(rule, target.process.cgroup)) &&
        (rule.executables.length === 0 || mayBeExecutable(rule.executables, target.process.executable))
      );
    case 'system':
      return rule.system || namesProcesses;
    case 'cgroup':
      return rule.anyCgroup || (namesProcesses && mayOverlapPlaces(rule, target.path));
  }
}

function coversOwner(rule: RuleTargets, process: ProcessIdentity, subject: Subject): boolean {
  return (
    rule.anyUser ||
    (rule.sameUser && isOwnProcess(subject, process)) ||
    rule.uids.some((uid) => process.uids.every((id) => id === uid))
  );
}

function touchesOwner(rule: RuleTargets, process: ProcessIdentity, subject: Subject): boolean {
  return (
    rule.anyUser ||
    (rule.sameUser && process.uids.includes(subject.uid)) ||
    rule.uids.some((uid) => process.uids.includes(uid))
  );
}

function isWithinPlaces(rule: RuleTargets, cgroup: string): boolean {
  const unit = unitOfCgroup(cgroup);
  return (
    (rule.units.length === 0 || rule.units.some((pattern) => matchesUnit(unit, pattern))) &&
    (rule.cgroups.length === 0 || rule.cgroups.some((place) => isWithinCgroup(cgroup, place)))
  );
}

/** The named units and cgroups may be above or below the cgroup. */
function mayOverlapPlaces(rule: RuleTargets, cgroup: string): boolean {
  if (!isKnownCgroup(cgroup)) return true;
  const unit = unitOfCgroup(cgroup);
  return (
    // A cgroup outside of any unit may contain units.
    (rule.units.length === 0 || unit === undefined || rule.units.some((pattern) => matchesUnit(unit, pattern))) &&
    (rule.cgroups.length === 0 ||
      rule.cgroups.some((place) => isWithinCgroup(cgroup, place) || isWithinCgroup(place, cgroup)))
  );
}

function mayBeExecutable(executables: readonly string[], executable: string): boolean {
  // "[comm]" is an executable that could not be read. A deleted file may have had the name that a rule has.
  if (!executable.startsWith('/')) return true;
  return executables.includes(executable.replace(/ \(deleted\)$/, ''));
}
