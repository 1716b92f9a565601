import test from 'ava';
import { formatProblem, PolicyError } from '#dist/policy/error.js';

const PROBLEM = {
  file: 'policy.toml',
  line: 12,
  column: 3,
  key: 'rule.verdict',
  message: 'is missing',
  remedy: 'Add it.',
};

test('a problem has its place, key, message and remedy', (t) => {
  t.is(formatProblem(PROBLEM), 'policy.toml:12:3: rule.verdict: is missing. Add it.');
  t.is(formatProblem({ file: 'a.toml', message: 'is a link', remedy: 'Name it.' }), 'a.toml: is a link. Name it.');
});

test('an error has the message of the first problem, and a list of all problems', (t) => {
  const error = new PolicyError(PROBLEM, { ...PROBLEM, line: 20 }, { ...PROBLEM, line: 30 });
  t.is(error.message, `${formatProblem(PROBLEM)} (and 2 more)`);
  t.like(error, { file: 'policy.toml', line: 12, column: 3, key: 'rule.verdict', remedy: 'Add it.' });
  t.is(error.problems.length, 3);
});
