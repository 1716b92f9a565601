import type { ProcessIdentity, Target } from '../../model/identity/target.js';
import { missedTarget } from './near_misses.js';
import { describeDoubt, describeSubject, describeTarget } from './reason_texts.js';
import { appliesTo } from './subjects.js';
import { covers, touches } from './targets.js';
import type { DowngradeRequest, Policy, Reason, Verdict } from '../types.js';

/** Highest number of reasons; a request may name hundreds of processes. */
const MAX_REASONS = 32;

/**
 * Decides whether the subject may take capabilities from these processes. Pure, as `decide`. Only rules of mode `downgrade`
 * count; the first that matches decides for all processes together. Classes and ceiling do not apply: perfbrokerd has a tracer
 * only with --with-tracer.
 */
export function decideDowngrade({ subject, processes }: DowngradeRequest, policy: Policy): Verdict {
  const targets = processes.map(asTarget);
  if (targets.length === 0)
    return { kind: 'deny', reasons: [{ code: 'target', text: 'the request names no process' }], classes: [] };
  const reasons: Reason[] = [];
  for (const rule of policy.rules) {
    const { name, where, verdict, limits } = rule;
    if (!appliesTo(rule, subject)) continue;
    if (!rule.downgrade) {
      if (verdict !== 'deny') reasons.push(withoutDowngrade(name));
      continue;
    }
    if (verdict === 'deny') {
      const caught = targets.find((target) => touches(rule.targets, target, subject));
      if (caught === undefined) continue;
      const text = `rule "${name}" denies the downgrade of ${describeTarget(caught)}${describeDoubt(rule.subjects, subject)}`;
      return { kind: 'deny', rule: name, where, reasons: [{ code: 'denied', rule: name, text }], classes: [] };
    }
    const missed = targets.find((target) => !covers(rule.targets, target, subject));
    if (missed === undefined) {
      const passed = { rule: name, where, limits, classes: [] };
      return verdict === 'allow'
        ? { kind: 'allow', ...passed }
        : { kind: 'ask', ...passed, reasons: reasons.slice(0, MAX_REASONS) };
    }
    reasons.push(missedTarget(rule, missed, subject));
  }
  if (reasons.length === 0)
    reasons.push({ code: 'no-rule', text: `no rule allows anything to ${describeSubject(subject)}` });
  return { kind: 'deny', reasons: reasons.slice(0, MAX_REASONS), classes: [] };
}

function withoutDowngrade(rule: string): Reason {
  return {
    code: 'mode',
    rule,
    text: `rule "${rule}" does not allow downgrade`,
    remedy: 'Ask the administrator for a rule with mode downgrade.',
  };
}

function asTarget(process: ProcessIdentity): Target {
  return { kind: 'process', process, threads: 'all' };
}
