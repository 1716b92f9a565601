import test from 'ava';
import { ruleNames } from '#dist/policy/decide/rules_for.js';
import { administrator, member, policyOf, subject } from '../fixtures.js';

const rule = (name: string, verdict: string, subjects: string): string =>
  `[[rule]]\nname = "${name}"\nverdict = "${verdict}"\nsubjects = { ${subjects} }\ntargets = { same_user = true }\nclasses = ["user"]\n`;
const policy = policyOf(
  rule('admins', 'allow', 'administrator = true') +
    rule('never', 'deny', 'groups = ["ops"]') +
    rule('members', 'allow', 'groups = ["perfbroker"]') +
    rule('all', 'ask', 'everyone = true'),
);

test('rules that name the subject are listed in their order', (t) => {
  t.deepEqual(ruleNames(policy, administrator), ['admins', 'all']);
  t.deepEqual(ruleNames(policy, member), ['members', 'all']);
});

test('a deny rule that may name the subject is listed as well', (t) => {
  t.deepEqual(ruleNames(policy, subject({ mayBeMany: true })), ['never', 'all']);
});
