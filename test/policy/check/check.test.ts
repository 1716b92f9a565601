import test from 'ava';
import { chownSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { checkPolicyFile } from '#dist/policy/check/check.js';
import { lintPolicy } from '#dist/policy/check/lint.js';
import { directory, rootTest, rule, write } from '../files.js';
import { names, policyOf } from '../fixtures.js';

rootTest('a good file is summarised rule by rule', (t) => {
  const root = directory(t);
  const path = write(root, 'policy.toml', rule('own', 'limits = { lease = "10 min" }'));
  write(
    root,
    'policy.d/a.toml',
    rule('not-secret', 'before = "own"')
      .replace('allow', 'deny')
      .replace('same_user = true', 'any_user = true, executables = ["/x"]'),
  );
  const { ok, sources, summary, errors, warnings } = checkPolicyFile(path, names);
  t.true(ok);
  t.deepEqual(errors, []);
  t.deepEqual(warnings, []);
  t.deepEqual(sources, [path, join(root, 'policy.d/a.toml')]);
  t.deepEqual(summary, [
    `deny not-secret: uid 1000: count and sample events of class user on processes of any user running /x (${join(root, 'policy.d/a.toml')}:1)`,
    `allow own: uid 1000: count and sample events of class user on processes of the same user (${path}:1)`,
    '  up to 4,000 Hz, min_period 1, ring 32 MiB, fds 4,096, grants 16, lease 10 min, stack 65528 B',
  ]);
});

rootTest('a draft that does not belong to root is checked, with the warning that the broker would refuse it', (t) => {
  const path = write(directory(t), 'policy.toml', rule('own'));
  chownSync(path, 60123, 60123);
  const { ok, summary, errors, warnings } = checkPolicyFile(path, names);
  t.false(ok);
  t.is(summary.length, 2);
  t.deepEqual(errors, []);
  t.regex(warnings.join('\n'), /^the broker would refuse .*policy\.toml: the file belongs to uid 60123/);
});

rootTest('a link is followed, with the warning that the broker would refuse it', (t) => {
  const root = directory(t);
  write(root, 'real.toml', rule('own'));
  symlinkSync('real.toml', join(root, 'policy.toml'));
  const { ok, summary, warnings } = checkPolicyFile(join(root, 'policy.toml'), names);
  t.false(ok);
  t.is(summary.length, 2);
  t.regex(warnings.join('\n'), /symbolic link/);
});

test('all errors of a file are reported, each with its line', (t) => {
  const path = write(directory(t), 'policy.toml', rule('own', 'limit = 1').replace('"allow"', '"permit"'));
  const { ok, summary, errors } = checkPolicyFile(path, names);
  t.false(ok);
  t.deepEqual(summary, []);
  t.deepEqual(errors.map((error) => /:(\d+):\d+: /.exec(error)?.[1]).sort(), ['3', '7']);
});

test('a file that does not exist, and a syntax error, are errors and not exceptions', (t) => {
  const root = directory(t);
  t.regex(checkPolicyFile(join(root, 'none.toml'), names).errors.join(), /does not exist/);
  t.regex(checkPolicyFile(write(root, 'a.toml', 'x ='), names).errors.join(), /a\.toml:1:\d+: is not TOML/);
});

const EVERYONE = rule('all').replace('{ users = ["alice"] }', '{ everyone = true }');
const lints: [string, string, RegExp | undefined][] = [
  ['a rule alone', rule('a'), undefined],
  [
    'a rule after one for everyone',
    EVERYONE + rule('a'),
    /"a" can never match: the earlier rule "all" \(policy\.toml:1\)/,
  ],
  ['a wider rule after one for everyone', EVERYONE + rule('a').replace('["user"]', '["user", "kernel"]'), undefined],
  ['a rule for everyone after one for some', rule('a') + EVERYONE, undefined],
  [
    'a counting rule after one of the same for both modes',
    rule('a') + rule('b', 'mode = ["counting"]'),
    /"b" can never match/,
  ],
  ['a rule for both modes after one for counting', rule('a', 'mode = ["counting"]') + rule('b'), undefined],
  [
    'a narrowed rule after one that is not',
    rule('a') + rule('b').replace('same_user = true', 'same_user = true, executables = ["/x"]'),
    /"b" can never match/,
  ],
  [
    'a rule after one that is narrowed',
    rule('a').replace('same_user = true', 'same_user = true, executables = ["/x"]') + rule('b'),
    undefined,
  ],
  [
    'an allow rule after a deny rule of the same',
    rule('a').replace('allow', 'deny') + rule('b'),
    /"b" can never match/,
  ],
  [
    'class system-wide without a target for it',
    rule('a').replace('"user"', '"user", "system-wide"'),
    /system-wide, but no target/,
  ],
  ['the system without class system-wide', rule('a').replace('same_user', 'system'), /not class system-wide/],
  ['any_user without class other-users', rule('a').replace('same_user', 'any_user'), /not class other-users/],
  [
    'class other-users for the same user',
    rule('a').replace('"user"', '"user", "other-users"'),
    /only targets of the same user/,
  ],
  [
    'classes of targets alone',
    rule('a').replace('same_user', 'system').replace('"user"', '"system-wide"'),
    /no class of events/,
  ],
  [
    'a deny rule by groups before a rule that allows others the same',
    rule('a').replace('allow', 'deny').replace('users = ["alice"]', 'groups = ["ops"]') + rule('b'),
    /"a" denies by groups, .*: rule "b" \(policy\.toml:\d+\) may then allow it; also name the users$/,
  ],
  [
    'a deny rule by units before a rule that allows others the same',
    rule('a').replace('allow', 'deny').replace('users = ["alice"]', 'units = ["a.service"]') + rule('b'),
    /"a" denies by units, .*: rule "b" .* may then allow it/,
  ],
  [
    'a deny rule by groups that names the users as well',
    rule('a').replace('allow', 'deny').replace('users', 'groups = ["ops"], users').replace('same_user', 'any_user') +
      rule('b').replace('same_user', 'system').replace('["user"]', '["user", "system-wide"]'),
    undefined,
  ],
  [
    'a deny rule by groups before a rule that allows nothing of the same',
    rule('a').replace('allow', 'deny').replace('users = ["alice"]', 'groups = ["ops"]') +
      rule('b').replace('["user"]', '["raw"]'),
    undefined,
  ],
  ['no rule at all', '', /everything is denied/],
];
for (const [title, text, says] of lints) {
  test(`${title} gives ${says === undefined ? 'no warning' : 'a warning'}`, (t) => {
    const warnings = lintPolicy(policyOf(text));
    if (says === undefined) t.deepEqual(warnings, []);
    else {
      t.is(warnings.length, 1, warnings.join('\n'));
      t.regex(warnings[0] ?? '', says);
    }
  });
}
