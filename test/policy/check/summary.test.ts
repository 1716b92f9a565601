import test from 'ava';
import { describeRule } from '#dist/policy/check/summary.js';
import { policyOf } from '../fixtures.js';

function described(text: string): string {
  const [rule] = policyOf(`[[rule]]\nname = "r"\nverdict = "allow"\n${text}`).rules;
  if (rule === undefined) throw new Error('no rule');
  return describeRule(rule);
}

test('a rule is one line, with subjects, modes, classes, targets and place', (t) => {
  t.is(
    described('subjects = { groups = ["perfbroker"] }\ntargets = { same_user = true }\nclasses = ["user"]\n'),
    'allow r: gid 990: count and sample events of class user on processes of the same user (policy.toml:1)',
  );
});

test('places narrow the owners, and downgrade is named apart', (t) => {
  t.is(
    described(
      'subjects = { everyone = true }\ntargets = { any_user = true, units = ["a.service"] }\nclasses = "all"\nmode = ["counting", "downgrade"]\n',
    ),
    'allow r: everyone: count events of all classes on and downgrade processes of any user in unit a.service (policy.toml:1)',
  );
});
