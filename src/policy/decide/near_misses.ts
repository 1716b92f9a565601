import { sameUserObstacles } from '../../model/identity/access.js';
import type { EventClass } from '../../model/event.js';
import type { Subject } from '../../model/identity/subject.js';
import type { Target } from '../../model/identity/target.js';
import { modeOf } from './needs.js';
import { describeObstacles, describeSubject, describeTarget } from './reason_texts.js';
import { isNamed } from './subjects.js';
import { covers } from './targets.js';
import type { PolicyRequest, Reason, Rule } from '../types.js';

/** Targets told of for one rule; a request may hold hundreds, all refused for the same reason. */
const MAX_TARGETS = 3;

/**
 * Why none of the rules allows a request: first the rules that speak of the subject, the one that came nearest (the fewest
 * reasons against it) before the others, then those that speak of somebody else.
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
    .map(({ name }) => ({ code: 'subject', rule: name, text: `rule "${name}" is for others` }));
  if (near.length > 0) return [...near, ...others];
  const who = describeSubject(request.subject);
  return [{ code: 'no-rule', text: `no rule allows anything to ${who}` }, ...others];
}

/** Why a rule that speaks of the subject does not cover the request; not empty when it does not. */
function missesOf(rule: Rule, { subject, targets, events }: PolicyRequest, classes: readonly EventClass[]): Reason[] {
  const missingClasses = classes.filter((name) => !rule.classes.includes(name));
  const missedTargets = targets.filter((target) => !covers(rule.targets, target, subject));
  const reasons = missedTargets.slice(0, MAX_TARGETS).map((target) => missedTarget(rule, target, subject));
  if (missedTargets.length > MAX_TARGETS) {
    const count = missedTargets.length - MAX_TARGETS;
    reasons.push({ code: 'target', rule: rule.name, text: `rule "${rule.name}" leaves out ${count} more targets` });
  }
  for (const name of missingClasses) {
    reasons.push({ code: 'class', rule: rule.name, text: `rule "${rule.name}" leaves out class ${name}` });
  }
  for (const mode of ['counting', 'sampling'] as const) {
    if (rule[mode] || !events.some((event) => modeOf(event) === mode)) continue;
    reasons.push({ code: 'mode', rule: rule.name, text: `rule "${rule.name}" leaves out ${mode}` });
  }
  return reasons;
}

function missedTarget({ name, targets }: Rule, target: Target, subject: Subject): Reason {
  const text = `rule "${name}" leaves out ${describeTarget(target)}`;
  if (target.kind !== 'process' || !targets.sameUser) return { code: 'target', rule: name, text };
  const obstacles = sameUserObstacles(subject, target.process);
  if (obstacles.length === 0) return { code: 'target', rule: name, text };
  return {
    code: 'access',
    rule: name,
    text: `${text}: it is for your own processes, and ${describeObstacles(obstacles)}`,
  };
}
