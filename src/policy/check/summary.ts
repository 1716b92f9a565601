import { EVENT_CLASSES } from '../../model/event.js';
import type { Rule, RuleSubjects, RuleTargets } from '../types.js';

/** `allow own-processes: gid 990: count and sample events of class user on processes of the same user (policy.toml:12)` */
export function describeRule({
  name,
  where,
  verdict,
  subjects,
  targets,
  classes,
  counting,
  sampling,
  downgrade,
}: Rule): string {
  const modes = [counting ? 'count' : '', sampling ? 'sample' : ''].filter((mode) => mode !== '').join(' and ');
  const events =
    classes.length === EVENT_CLASSES.length
      ? 'events of all classes'
      : `events of class${classes.length === 1 ? '' : 'es'} ${classes.join(', ')}`;
  const what = [modes === '' ? '' : `${modes} ${events} on`, downgrade ? 'downgrade' : ''].filter(
    (part) => part !== '',
  );
  return `${verdict} ${name}: ${describeSubjects(subjects)}: ${what.join(' and ')} ${describeTargets(targets)} (${where})`;
}

function describeSubjects({ everyone, administrator, uids, gids, units }: RuleSubjects): string {
  const parts = [
    everyone ? 'everyone' : '',
    administrator ? 'administrators' : '',
    ...uids.map((uid) => `uid ${uid}`),
    ...gids.map((gid) => `gid ${gid}`),
    ...units.map((unit) => `unit ${unit}`),
  ];
  // A rule with missing groups only.
  return listOf(parts) || 'no subject';
}

function describeTargets(targets: RuleTargets): string {
  const owners = listOf([
    targets.sameUser ? 'the same user' : '',
    targets.anyUser ? 'any user' : '',
    ...targets.uids.map((uid) => `uid ${uid}`),
  ]);
  const places = [
    targets.units.length > 0 ? `in unit ${targets.units.join(' or ')}` : '',
    targets.cgroups.length > 0 ? `in cgroup ${targets.cgroups.join(' or ')}` : '',
    targets.executables.length > 0 ? `running ${targets.executables.join(' or ')}` : '',
  ];
  return listOf([
    owners === '' ? '' : ['processes of', owners, ...places].filter((part) => part !== '').join(' '),
    targets.system ? 'the whole system' : '',
    targets.anyCgroup ? 'any cgroup' : '',
  ]);
}

function listOf(parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join(', ');
}
