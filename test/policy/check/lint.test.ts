import test from 'ava';
import { lintPolicy } from '#dist/policy/check/lint.js';
import { builtIn } from '#dist/policy/load/load.js';
import { parsePolicy } from '#dist/policy/load/parse.js';
import { names, policyOf } from '../fixtures.js';

const rule = (name: string, verdict: string, subjects: string, more = ''): string =>
  `[[rule]]\nname = "${name}"\nverdict = "${verdict}"\nsubjects = { ${subjects} }\ntargets = { same_user = true }\nclasses = ["user"]\n${more}`;

test('the default policy has no warning', (t) => {
  t.deepEqual(lintPolicy(parsePolicy([builtIn()], names)), []);
});

test('a policy without rules denies everything, and says so', (t) => {
  t.deepEqual(lintPolicy(policyOf('')), ['there is no rule, so everything is denied']);
});

test('a rule behind one that matches all of its requests is found, wherever they stand', (t) => {
  const [warning, ...others] = lintPolicy(
    policyOf(rule('all', 'allow', 'everyone = true') + rule('one', 'deny', 'users = ["bob"]')),
  );
  t.regex(warning ?? '', /rule "one" can never match: the earlier rule "all"/);
  t.deepEqual(others, []);
  t.deepEqual(
    lintPolicy(policyOf(rule('one', 'deny', 'users = ["bob"]') + rule('all', 'allow', 'everyone = true'))),
    [],
  );
});
