import test from 'ava';
import { EVENT_CLASSES } from '#dist/model/event.js';
import { PolicyError } from '#dist/policy/error.js';
import { BUILT_IN_LIMITS } from '#dist/policy/load/limits.js';
import { BUILT_IN_SERVICE } from '#dist/policy/load/service.js';
import { policyOf } from '../fixtures.js';

const RULE = `
[[rule]]
name = "own"
verdict = "allow"
subjects = { users = ["alice", 1234], groups = ["ops"] }
targets = { same_user = true }
classes = ["kernel", "user"]
`;

/** RULE with one line changed or taken away. */
function withLine(key: string, line: string): string {
  return RULE.split('\n')
    .flatMap((old) => (old.startsWith(`${key} `) ? (line === '' ? [] : [line]) : [old]))
    .join('\n');
}

test('a rule is read, with names resolved, classes in their order and defaults filled in', (t) => {
  const policy = policyOf(RULE);
  t.deepEqual(policy.sources, ['policy.toml']);
  t.deepEqual(policy.rules, [
    {
      name: 'own',
      where: 'policy.toml:2',
      verdict: 'allow',
      subjects: { everyone: false, administrator: false, uids: [1000, 1234], gids: [991], units: [] },
      targets: {
        sameUser: true,
        anyUser: false,
        uids: [],
        units: [],
        cgroups: [],
        executables: [],
        system: false,
        anyCgroup: false,
      },
      classes: ['user', 'kernel'],
      counting: true,
      sampling: true,
      downgrade: false,
      limits: BUILT_IN_LIMITS,
    },
  ]);
  t.deepEqual(policy.service, BUILT_IN_SERVICE);
  t.deepEqual(policy.warnings, []);
});

test('a policy is frozen to its last leaf', (t) => {
  const policy = policyOf(RULE);
  const unfrozen: string[] = [];
  const visit = (value: unknown, path: string): void => {
    if (typeof value !== 'object' || value === null) return;
    if (!Object.isFrozen(value)) unfrozen.push(path);
    for (const [key, inner] of Object.entries(value)) visit(inner, `${path}.${key}`);
  };
  visit(policy, 'policy');
  t.deepEqual(unfrozen, []);
});

test('"all" stands for every class', (t) => {
  t.deepEqual(policyOf(withLine('classes', 'classes = "all"')).rules[0]?.classes, EVENT_CLASSES);
});

test('an empty file is a policy without rules', (t) => {
  t.deepEqual(policyOf('').rules, []);
});

test('limits come from the rule, then from [limits], then from the built-in limits', (t) => {
  const policy = policyOf(
    `[limits]\nfrequency = 1000\nring = "1 MiB"\n${RULE}limits = { ring = 4096, lease = "none" }`,
  );
  t.deepEqual(policy.rules[0]?.limits, { ...BUILT_IN_LIMITS, frequency: 1000, ringBytes: 4096, leaseSeconds: 0 });
});

test('[limits] and [service] of a later file override single values, for the rules of all files', (t) => {
  const policy = policyOf(
    `[limits]\nfrequency = 1000\nfds = 7\n[service]\nburst = 5\n${RULE}`,
    `[limits]\nfrequency = 50\n[service]\nconnections = 2`,
  );
  t.is(policy.rules[0]?.limits.frequency, 50);
  t.is(policy.rules[0]?.limits.fds, 7);
  t.deepEqual(policy.service, { ...BUILT_IN_SERVICE, burst: 5, connections: 2 });
});

test('rules of several files keep their order, except for a rule with before', (t) => {
  const rule = (name: string, more = ''): string => `${RULE.replace('"own"', `"${name}"`)}${more}\n`;
  const policy = policyOf(rule('a') + rule('b'), rule('c', 'before = "b"') + rule('d'), rule('e', 'before = "a"'));
  t.deepEqual(
    policy.rules.map(({ name }) => name),
    ['e', 'a', 'c', 'b', 'd'],
  );
});

interface Mistake {
  readonly title: string;
  readonly text: string;
  readonly line: number;
  readonly key?: string;
  readonly says: RegExp;
}
const mistakes: Mistake[] = [
  { title: 'a syntax error', text: '[limits]\nfds = = 3\n', line: 2, says: /not TOML/ },
  { title: 'a key that occurs twice', text: '[limits]\nfds = 3\nfds = 4\n', line: 3, says: /not TOML/ },
  { title: 'a misspelt table', text: '[limit]\nfds = 3\n', line: 1, key: 'limit', says: /Did you mean "limits"/ },
  {
    title: 'a misspelt limit',
    text: '[limits]\nfds = 3\nfrequnecy = 9\n',
    line: 3,
    key: 'limits.frequnecy',
    says: /Did you mean "frequency"/,
  },
  {
    title: 'a misspelt key of a rule',
    text: withLine('classes', 'clases = ["user"]'),
    line: 7,
    key: 'rule.clases',
    says: /Did you mean "classes"/,
  },
  {
    title: 'a misspelt subject',
    text: withLine('subjects', 'subjects = { user = ["alice"] }'),
    line: 5,
    key: 'rule.subjects.user',
    says: /Did you mean "users"/,
  },
  {
    title: 'a key of Object.prototype',
    text: withLine('subjects', 'subjects = { everyone = true, constructor = true }'),
    line: 5,
    says: /unsafe|not a known key/,
  },
  { title: 'a missing name', text: withLine('name', ''), line: 2, key: 'rule', says: /name is missing/ },
  { title: 'a missing verdict', text: withLine('verdict', ''), line: 2, key: 'rule', says: /verdict is missing/ },
  { title: 'missing subjects', text: withLine('subjects', ''), line: 2, key: 'rule', says: /subjects is missing/ },
  { title: 'missing targets', text: withLine('targets', ''), line: 2, key: 'rule', says: /targets is missing/ },
  { title: 'missing classes', text: withLine('classes', ''), line: 2, key: 'rule', says: /classes is missing/ },
  {
    title: 'subjects that select no user',
    text: withLine('subjects', 'subjects = { everyone = false }'),
    line: 5,
    key: 'rule.subjects',
    says: /selects no subject/,
  },
  {
    title: 'empty subjects',
    text: withLine('subjects', 'subjects = {}'),
    line: 5,
    key: 'rule.subjects',
    says: /selects no subject/,
  },
  {
    title: 'an empty list of users',
    text: withLine('subjects', 'subjects = { users = [] }'),
    line: 5,
    key: 'rule.subjects.users',
    says: /is empty/,
  },
  {
    title: 'everyone together with other subjects',
    text: withLine('subjects', 'subjects = { everyone = true, users = ["alice"] }'),
    line: 5,
    key: 'rule.subjects.everyone',
    says: /meaningless/,
  },
  {
    title: 'targets that select nothing',
    text: withLine('targets', 'targets = {}'),
    line: 6,
    key: 'rule.targets',
    says: /selects no target/,
  },
  {
    title: 'executables without their users',
    text: withLine('targets', 'targets = { executables = ["/bin/true"] }'),
    line: 6,
    key: 'rule.targets.executables',
    says: /not their users/,
  },
  {
    title: 'cgroups without their users, with system',
    text: withLine('targets', 'targets = { cgroups = ["/a"], system = true }'),
    line: 6,
    key: 'rule.targets.cgroups',
    says: /not their users/,
  },
  {
    title: 'an unknown verdict',
    text: withLine('verdict', 'verdict = "permit"'),
    line: 4,
    key: 'rule.verdict',
    says: /allow, deny, ask/,
  },
  {
    title: 'an unknown class',
    text: withLine('classes', 'classes = ["user", "kernal"]'),
    line: 7,
    key: 'rule.classes',
    says: /Did you mean "kernel"/,
  },
  {
    title: 'no class',
    text: withLine('classes', 'classes = []'),
    line: 7,
    key: 'rule.classes',
    says: /is empty\. Name .*"all"/,
  },
  {
    title: 'a class instead of a list',
    text: withLine('classes', 'classes = "user"'),
    line: 7,
    key: 'rule.classes',
    says: /must be a list/,
  },
  { title: 'an unknown mode', text: `${RULE}mode = ["count"]`, line: 8, key: 'rule.mode', says: /counting, sampling/ },
  {
    title: 'an unknown user',
    text: withLine('subjects', 'subjects = { users = ["alcie"] }'),
    line: 5,
    key: 'rule.subjects.users',
    says: /no user is called "alcie"/,
  },
  {
    title: 'an unknown group',
    text: withLine('subjects', 'subjects = { groups = ["perf"] }'),
    line: 5,
    key: 'rule.subjects.groups',
    says: /no group is called "perf"/,
  },
  {
    title: 'a uid in quotes',
    text: withLine('subjects', 'subjects = { users = ["1000"] }'),
    line: 5,
    key: 'rule.subjects.users',
    says: /without quotes/,
  },
  {
    title: 'a uid that no user has',
    text: withLine('subjects', 'subjects = { users = [4294967295] }'),
    line: 5,
    key: 'rule.subjects.users',
    says: /is not a user/,
  },
  {
    title: 'a negative uid',
    text: withLine('subjects', 'subjects = { users = [-1] }'),
    line: 5,
    key: 'rule.subjects.users',
    says: /is not a user/,
  },
  {
    title: 'a uid with a fraction',
    text: withLine('subjects', 'subjects = { users = [1.5] }'),
    line: 5,
    key: 'rule.subjects.users',
    says: /is not a user/,
  },
  {
    title: 'a list in place of a boolean',
    text: withLine('targets', 'targets = { same_user = ["yes"] }'),
    line: 6,
    key: 'rule.targets.same_user',
    says: /true or false/,
  },
  {
    title: 'a boolean in quotes',
    text: withLine('targets', 'targets = { same_user = "true" }'),
    line: 6,
    key: 'rule.targets.same_user',
    says: /true or false/,
  },
  {
    title: 'a table in place of a list',
    text: withLine('subjects', 'subjects = { users = { alice = true } }'),
    line: 5,
    key: 'rule.subjects.users',
    says: /must be a list/,
  },
  {
    title: 'a string in place of a table',
    text: withLine('subjects', 'subjects = "everyone"'),
    line: 5,
    key: 'rule.subjects',
    says: /must be a table/,
  },
  {
    title: 'a date in place of a table',
    text: withLine('subjects', 'subjects = 2026-01-01'),
    line: 5,
    key: 'rule.subjects',
    says: /not a date/,
  },
  {
    title: 'a unit without a type',
    text: withLine('targets', 'targets = { any_user = true, units = ["nginx"] }'),
    line: 6,
    key: 'rule.targets.units',
    says: /nginx\.service/,
  },
  {
    title: 'a star alone for a unit',
    text: withLine('targets', 'targets = { any_user = true, units = ["*"] }'),
    line: 6,
    key: 'rule.targets.units',
    says: /is not a unit/,
  },
  {
    title: 'a slice for a unit',
    text: withLine('targets', 'targets = { any_user = true, units = ["a.slice"] }'),
    line: 6,
    key: 'rule.targets.units',
    says: /is a slice/,
  },
  {
    title: 'a relative cgroup',
    text: withLine('targets', 'targets = { any_user = true, cgroups = ["a"] }'),
    line: 6,
    key: 'rule.targets.cgroups',
    says: /is not a cgroup/,
  },
  {
    title: 'a cgroup with ..',
    text: withLine('targets', 'targets = { any_user = true, cgroups = ["/a/../b"] }'),
    line: 6,
    key: 'rule.targets.cgroups',
    says: /is not a cgroup/,
  },
  {
    title: 'a cgroup with a slash at its end',
    text: withLine('targets', 'targets = { any_user = true, cgroups = ["/a/"] }'),
    line: 6,
    key: 'rule.targets.cgroups',
    says: /is not a cgroup/,
  },
  {
    title: 'a cgroup with its mount point',
    text: withLine('targets', 'targets = { any_user = true, cgroups = ["/sys/fs/cgroup/a"] }'),
    line: 6,
    key: 'rule.targets.cgroups',
    says: /"\/a"/,
  },
  {
    title: 'a relative executable',
    text: withLine('targets', 'targets = { any_user = true, executables = ["bash"] }'),
    line: 6,
    key: 'rule.targets.executables',
    says: /absolute path/,
  },
  {
    title: 'a frequency out of range',
    text: '[limits]\nfrequency = 0\n',
    line: 2,
    key: 'limits.frequency',
    says: /Allowed: 1 to 1,000,000/,
  },
  {
    title: 'a frequency in quotes',
    text: '[limits]\nfrequency = "4 kHz"\n',
    line: 2,
    key: 'limits.frequency',
    says: /a whole number/,
  },
  { title: 'a ring in decimal units', text: '[limits]\nring = "8 MB"\n', line: 2, key: 'limits.ring', says: /8 MiB/ },
  {
    title: 'a ring larger than the opener maps',
    text: '[limits]\nring = "257 MiB"\n',
    line: 2,
    key: 'limits.ring',
    says: /256 MiB/,
  },
  {
    title: 'more stack than the kernel dumps',
    text: '[limits]\nstack = 65536\n',
    line: 2,
    key: 'limits.stack',
    says: /65528 B/,
  },
  { title: 'a lease of 0', text: '[limits]\nlease = 0\n', line: 2, key: 'limits.lease', says: /"none"/ },
  {
    title: 'a number that JavaScript cannot hold',
    text: '[limits]\nfds = 9007199254740993\n',
    line: 2,
    says: /not TOML/,
  },
  { title: 'infinity', text: '[limits]\nfds = inf\n', line: 2, key: 'limits.fds', says: /a whole number/ },
  {
    title: 'a service limit out of range',
    text: '[service]\nburst = 0\n',
    line: 2,
    key: 'service.burst',
    says: /out of range/,
  },
  {
    title: 'a rule in single brackets',
    text: RULE.replace('[[rule]]', '[rule]'),
    line: 2,
    key: 'rule',
    says: /\[\[rule\]\]/,
  },
  { title: 'a rule that is not a table', text: 'rule = [1]', line: 1, key: 'rule', says: /must be a table/ },
  {
    title: 'a name with a control character',
    text: withLine('name', 'name = "a\\u001bb"'),
    line: 3,
    key: 'rule.name',
    says: /is not a name/,
  },
  {
    title: 'a name that begins with an underscore',
    text: withLine('name', 'name = "_own"'),
    line: 3,
    key: 'rule.name',
    says: /is not a name\. .* begin with a letter or a digit/,
  },
  {
    title: 'a name that is taken',
    text: RULE + RULE,
    line: 10,
    key: 'rule.name',
    says: /the rule at policy\.toml:2 is also called "own"/,
  },
  {
    title: 'before a rule that does not exist',
    text: `${RULE}${RULE.replace('own', 'two')}before = "onw"`,
    line: 15,
    key: 'rule.before',
    says: /Did you mean "own"/,
  },
  { title: 'before itself', text: `${RULE}before = "own"`, line: 8, key: 'rule.before', says: /no earlier rule "own"/ },
  {
    title: 'limits of a rule that denies',
    text: `${withLine('verdict', 'verdict = "deny"')}limits = { fds = 1 }`,
    line: 8,
    key: 'rule.limits',
    says: /denies/,
  },
];
for (const { title, text, line, key, says } of mistakes) {
  test(`${title} is an error with its line`, (t) => {
    const error = t.throws(() => policyOf(text), { instanceOf: PolicyError });
    t.is(error.file, 'policy.toml');
    t.is(error.line, line, error.message);
    t.is(error.key, key, error.message);
    t.regex(error.message, says);
    t.regex(error.message, new RegExp(`^policy\\.toml:${line}:\\d+: `));
    t.true(error.remedy.length > 5);
  });
}

test('all errors are reported at once, each with its file', (t) => {
  const error = t.throws(() => policyOf(withLine('verdict', 'verdict = "no"'), '[limits]\nfds = 0\nlesae = 1'), {
    instanceOf: PolicyError,
  });
  t.deepEqual(error.problems.map(({ file, line }) => `${file}:${line}`).sort(), [
    'policy.d/1.toml:2',
    'policy.d/1.toml:3',
    'policy.toml:4',
  ]);
  t.regex(error.message, /and 2 more/);
});

test('a rule with other errors still takes its name, and other rules may refer to it', (t) => {
  const wrong = withLine('verdict', 'verdict = "no"');
  const error = t.throws(() => policyOf(wrong, RULE, `${RULE.replace('own', 'two')}before = "own"`), {
    instanceOf: PolicyError,
  });
  t.deepEqual(
    error.problems.map(({ file, key }) => `${file} ${key ?? ''}`),
    ['policy.toml rule.verdict', 'policy.d/1.toml rule.name'],
  );
});
