import type { EventClass } from '../../model/event.js';
import type { Subject } from '../../model/identity/subject.js';
import type { Target } from '../../model/identity/target.js';
import { closedClasses } from './closed_classes.js';
import { exceededLimits } from './limit_check.js';
import { nearMisses } from './near_misses.js';
import { classesOfEvent, classesOfTarget, modeOf, neededClasses } from './needs.js';
import { describeDoubt, describeTarget } from './reason_texts.js';
import { appliesTo } from './subjects.js';
import { covers, touches } from './targets.js';
import type { Policy, PolicyRequest, Reason, Rule, Verdict } from '../types.js';

/**
 * Decides a request for events on targets. Pure: no clock, no system, no state.
 *
 * - The ceiling comes first: no policy allows a class that the ceiling excludes.
 * - Then come the rules in order; the first that matches decides the whole request.
 * - A rule that allows (or asks) matches when it names the subject and by itself covers every target, every class and
 *   every event's mode. A request above its limits is denied; no later rule is tried.
 * - A rule that denies matches when it may name the subject and covers any one event on any one target, so no request avoids
 *   it by naming more.
 * - Without a match the request is denied, with the reasons why each rule did not apply.
 */
export function decide(request: PolicyRequest, policy: Policy): Verdict {
  const classes = neededClasses(request);
  const invalid = emptiness(request);
  if (invalid !== undefined) return { kind: 'deny', reasons: [invalid], classes };
  const closed = classes.filter((name) => !request.ceiling.includes(name));
  if (closed.length > 0) return { kind: 'deny', reasons: closedClasses(closed, request), classes };

  for (const [index, rule] of policy.rules.entries()) {
    if (!appliesTo(rule, request.subject)) continue;
    const { name, where, limits } = rule;
    if (rule.verdict === 'deny') {
      const caught = caughtTarget(rule, request);
      if (caught === undefined) continue;
      return { kind: 'deny', rule: name, where, reasons: [deniedBy(rule, caught, request.subject)], classes };
    }
    if (!grants(rule, request, classes)) continue;
    const exceeded = exceededLimits(request, limits, name);
    if (exceeded.length > 0) return { kind: 'deny', rule: name, where, reasons: exceeded, classes };
    const passed = { rule: name, where, limits, classes };
    if (rule.verdict === 'allow') return { kind: 'allow', ...passed };
    return { kind: 'ask', ...passed, reasons: nearMisses(request, classes, policy.rules.slice(0, index)) };
  }
  return { kind: 'deny', reasons: nearMisses(request, classes, policy.rules), classes };
}

function emptiness({ targets, events }: PolicyRequest): Reason | undefined {
  if (targets.length === 0) return { code: 'target', text: 'the request names no target' };
  if (events.length === 0) return { code: 'class', text: 'the request names no event' };
  return undefined;
}

/** @returns whether a rule that allows or asks covers all of the request. The subject was checked before. */
function grants(rule: Rule, { subject, targets, events }: PolicyRequest, classes: readonly EventClass[]): boolean {
  return (
    classes.every((name) => rule.classes.includes(name)) &&
    events.every((event) => rule[modeOf(event)]) &&
    targets.every((target) => covers(rule.targets, target, subject))
  );
}

/** First target on which an event falls under a rule that denies: by its mode, and by any class of event and target. */
function caughtTarget(rule: Rule, { subject, targets, events }: PolicyRequest): Target | undefined {
  const eventsOfMode = events.filter((event) => rule[modeOf(event)]);
  return targets.find(
    (target) =>
      touches(rule.targets, target, subject) &&
      eventsOfMode.some((event) =>
        [...classesOfEvent(event), ...classesOfTarget(target, subject)].some((name) => rule.classes.includes(name)),
      ),
  );
}

function deniedBy(rule: Rule, target: Target, subject: Subject): Reason {
  const doubt = covers(rule.targets, target, subject) ? '' : ', which may include a process that the rule names';
  const what = rule.classes.join(', ');
  return {
    code: 'denied',
    rule: rule.name,
    text: `rule "${rule.name}" denies ${what} on ${describeTarget(target)}${doubt}${describeDoubt(rule.subjects, subject)}`,
  };
}
