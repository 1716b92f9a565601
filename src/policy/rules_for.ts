import type { Subject } from '../model/subject.js';
import { matchesSubject } from './subjects.js';
import type { Policy } from './types.js';

/** Names of the rules that speak of a subject, in the order in which they are tried. */
export function ruleNames(policy: Policy, subject: Subject): readonly string[] {
  return policy.rules.filter((rule) => matchesSubject(rule.subjects, subject)).map(({ name }) => name);
}
