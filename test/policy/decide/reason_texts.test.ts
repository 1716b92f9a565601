import test from 'ava';
import { describeDoubt, describeSubject, describeTarget } from '#dist/policy/decide/reason_texts.js';
import { cgroup, policyOf, process, subject, system } from '../fixtures.js';

test('targets are described by the properties that a rule sees', (t) => {
  t.is(describeTarget(process()), 'process 600 ("/usr/bin/work", uid 1000)');
  t.is(describeTarget(process({ uids: [1000, 0, 0] })), 'process 600 ("/usr/bin/work", uids 1000/0/0)');
  t.is(describeTarget(system), 'the whole system');
  t.is(describeTarget(cgroup('/a"b')), 'cgroup "/a\\"b"');
});

test('a subject with thousands of groups has a short text', (t) => {
  const groups = Array.from({ length: 5000 }, (_, index) => index + 5000);
  const text = describeSubject(subject({ groups }));
  t.true(text.length < 200);
  t.regex(text, / and 4985 more\)$/);
});

test('a doubt is described only where the rule does not name the subject', (t) => {
  const [rule] = policyOf(`[[rule]]
name = "never"
verdict = "deny"
subjects = { groups = ["ops"] }
targets = { any_user = true }
classes = "all"
`).rules;
  if (rule === undefined) throw new Error('no rule');
  t.is(describeDoubt(rule.subjects, subject({ groups: [991], mayBeMany: true })), '');
  t.is(
    describeDoubt(rule.subjects, subject({ mayBeMany: true })),
    '; the rule may name the caller, because its uid is a subordinate one',
  );
});
