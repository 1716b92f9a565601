import type { Subject } from '../../model/identity/subject.js';
import { appliesTo } from './subjects.js';
import type { Policy } from '../types.js';

/** Names of the rules that apply to a subject, in the order in which they are tried. Includes deny rules that may apply. */
export function ruleNames(policy: Policy, subject: Subject): readonly string[] {
  return policy.rules.filter((rule) => appliesTo(rule, subject)).map(({ name }) => name);
}
