import type { EventClass } from '../../model/event.js';
import type { Subject } from '../../model/identity/subject.js';
import type { Target } from '../../model/identity/target.js';
import { modeOf } from './needs.js';
import { obstacleOf } from './obstacles.js';
import { describeSubject, describeTarget } from './reason_texts.js';
import { isNamed } from './subjects.js';
import { covers } from './targets.js';
import type { PolicyRequest, Reason, Rule } from '../types.js';

/** Targets that one rule gets reasons for; a request may hold hundreds, all refused for the same reason. */
const MAX_TARGETS = 3;

/**
 * Reasons why none of the rules allows a request. The rules that name the subject come first, the nearest one (with the fewest
 * reasons against it) before the others; then come the rules that name other subjects.
 */
export function nearMisses(
  request: PolicyRequest,
  classes: readonly EventClass[],
  rules: readonly Rule[],
): readonly Reason[] {
  const granting = rules.filter(({ verdict }) => verdict !== 'deny');
  const speaking = granting.filter((rule) => isNamed(rule.subjects, request.subject));
  const near = speaking
    .map((rule) => missesOf(rule, request, classes))
    .sort((a, b) => a.length - b.length)
    .flat();
  const others: readonly Reason[] = granting
    .filter((rule) => !speaking.includes(rule))
    .map(({ name }) => ({ code: 'subject', rule: name, text: `rule "${name}" names other subjects` }));
  if (near.length > 0) return [...near, ...others];
  const who = describeSubject(request.subject);
  return [{ code: 'no-rule', text: `no rule allows anything to ${who}` }, ...others];
}

/** Reasons why a rule that names the subject does not cover the request; empty when it does. */
function missesOf(rule: Rule, request: PolicyRequest, classes: readonly EventClass[]): Reason[] {
  const { subject, targets, events } = request;
  const missingClasses = classes.filter((name) => !rule.classes.includes(name));
  const missedTargets = targets.filter((target) => !covers(rule.targets, target, subject));
  const reasons = missedTargets.slice(0, MAX_TARGETS).map((target) => missedTarget(rule, target, subject));
  if (missedTargets.length > MAX_TARGETS) {
    const count = missedTargets.length - MAX_TARGETS;
    reasons.push({ code: 'target', rule: rule.name, text: `rule "${rule.name}" does not cover ${count} more targets` });
  }
  for (const name of missingClasses) reasons.push(missedClass(rule.name, name, request));
  for (const mode of ['counting', 'sampling'] as const) {
    if (rule[mode] || !events.some((event) => modeOf(event) === mode)) continue;
    const text = `rule "${rule.name}" does not allow ${mode}`;
    reasons.push({ code: 'mode', rule: rule.name, text, remedy: MODE_REMEDIES[mode] });
  }
  return reasons;
}

/** Reason why a rule does not cover a target. It names the obstacle where the rule covers the caller's own processes. */
export function missedTarget({ name, targets }: Rule, target: Target, subject: Subject): Reason {
  const text = `rule "${name}" does not cover ${describeTarget(target)}`;
  const obstacle = targets.sameUser ? obstacleOf(subject, target) : undefined;
  if (obstacle === undefined) return { code: 'target', rule: name, text, remedy: TARGET_REMEDIES[target.kind] };
  return {
    code: obstacle.code,
    rule: name,
    text: `${text}: it covers the caller's own processes, and ${obstacle.text}`,
    remedy: `${obstacle.remedy} Or ask the administrator for a rule that covers other users' processes.`,
  };
}

const TARGET_REMEDIES: Readonly<Record<Target['kind'], string>> = {
  process: 'Choose a process that the rule covers, or ask the administrator for a rule that covers this one.',
  system: 'Name processes, or ask the administrator for a rule that covers the whole system.',
  cgroup: 'Name processes, or ask the administrator for a rule that covers the cgroup.',
};

const CLASS_REMEDIES: Readonly<Record<EventClass, string>> = {
  user: 'Ask the administrator for a rule with class user.',
  raw: 'Use a hardware or software event by name, or ask the administrator for a rule with class raw.',
  breakpoint: 'Leave breakpoints out, or ask the administrator for a rule with class breakpoint.',
  tracepoint: 'Leave tracepoints out, or ask the administrator for a rule with class tracepoint.',
  kernel: 'Exclude the kernel (`:u`), or ask the administrator for a rule with class kernel.',
  'other-users': 'Choose a process of your own, or ask the administrator for a rule with class other-users.',
  'system-wide': 'Name processes, or ask the administrator for a rule with class system-wide.',
};

/** The obstacle of the first target that is not the caller's own: what the caller would have to remove to do without the class. */
function missedClass(rule: string, name: EventClass, { subject, targets }: PolicyRequest): Reason {
  const foreign = name === 'other-users' ? targets.find((target) => obstacleOf(subject, target)) : undefined;
  const obstacle = foreign && obstacleOf(subject, foreign);
  const text = `rule "${rule}" does not allow class ${name}`;
  if (foreign === undefined || obstacle === undefined)
    return { code: 'class', rule, text, remedy: CLASS_REMEDIES[name] };
  return {
    code: 'class',
    rule,
    text: `${text}, which ${describeTarget(foreign)} needs: ${obstacle.text}`,
    remedy: `${obstacle.remedy} Or ask the administrator for a rule with class other-users.`,
  };
}

const MODE_REMEDIES = {
  counting: 'Give the events a period or a frequency, or ask the administrator for a rule with mode counting.',
  sampling:
    'Count instead: leave out period, frequency and records, or ask the administrator for a rule with mode sampling.',
} as const;
