import test from 'ava';
import fc from 'fast-check';
import type { Subject } from '#dist/model/identity/subject.js';
import { appliesTo, isNamed, mayBeNamed } from '#dist/policy/decide/subjects.js';
import type { RuleSubjects } from '#dist/policy/types.js';
import { administrator, member, subject } from '../fixtures.js';

const NOBODY: RuleSubjects = { everyone: false, administrator: false, uids: [], gids: [], units: [] };
const SERVICE = subject({ uid: 99, gid: 99, groups: [], cgroup: '/system.slice/profiler.service' });

const IN_NAMESPACE: Partial<Subject> = { sameUserNamespace: false, mayBeMany: true };
const CHANGED: Partial<Subject> = { groups: [], asConnected: false };
const LENT: Partial<Subject> = { uid: 100_000, gid: 100_000, groups: [], mayBeMany: true };

const rows: [string, Partial<RuleSubjects>, Subject, boolean][] = [
  ['everyone matches any subject', { everyone: true }, subject(), true],
  ['users match by uid', { uids: [1, 1000] }, subject(), true],
  ['users do not match by gid', { uids: [1000] }, subject({ uid: 5 }), false],
  ['groups match a supplementary group', { gids: [990] }, member, true],
  ['groups match the gid itself', { gids: [7] }, subject({ gid: 7, groups: [] }), true],
  ['groups do not match others', { gids: [990] }, subject(), false],
  ['root with its capabilities is an administrator', { administrator: true }, administrator, true],
  ['root without capabilities is not an administrator', { administrator: true }, subject({ uid: 0, gid: 0 }), false],
  [
    'root of a container is not an administrator',
    { administrator: true },
    { ...administrator, ...IN_NAMESPACE },
    false,
  ],
  ['a user with capabilities is not an administrator', { administrator: true }, { ...administrator, uid: 1000 }, false],
  ['a unit matches by its outermost name', { units: ['profiler.service'] }, SERVICE, true],
  ['a unit matches by a beginning and a star', { units: ['profiler*'] }, SERVICE, true],
  [
    'a unit that a user made below its own manager is not the one of the system',
    { units: ['profiler.service'] },
    subject({
      cgroup: '/user.slice/user-1000.slice/user@1000.service/app.slice/profiler.service',
      unit: 'profiler.service',
    }),
    false,
  ],
  ['a subject whose unit is not known matches no unit', { units: ['p*'] }, subject({ cgroup: '' }), false],
  ['a rule without subjects matches no subject', {}, administrator, false],
];
for (const [title, rule, who, expected] of rows) {
  test(title, (t) => {
    t.is(mayBeNamed({ ...NOBODY, ...rule }, who), expected || !who.sameUserNamespace || who.cgroup === '');
    t.is(isNamed({ ...NOBODY, ...rule }, who), expected);
  });
}

const subjects: fc.Arbitrary<Subject> = fc
  .record({
    uid: fc.constantFrom(0, 1000, 100_000),
    gid: fc.constantFrom(0, 990),
    groups: fc.subarray([990, 991]),
    permitted: fc.constantFrom(0n, administrator.permitted),
    sameUserNamespace: fc.boolean(),
    mayBeMany: fc.boolean(),
    asConnected: fc.boolean(),
    ownIds: fc.boolean(),
    dumpable: fc.boolean(),
    cgroup: fc.constantFrom('', '/', '/../a', '/system.slice/profiler.service'),
  })
  .map(subject);
const ruleSubjects: fc.Arbitrary<RuleSubjects> = fc.record({
  everyone: fc.boolean(),
  administrator: fc.boolean(),
  uids: fc.subarray([0, 1000]),
  gids: fc.subarray([0, 990]),
  units: fc.subarray(['profiler.service', 'a*']),
});

test('every subject that a rule names is caught by a deny rule with the same subjects', (t) => {
  let named = 0;
  fc.assert(
    fc.property(ruleSubjects, subjects, (rule, who) => {
      if (!isNamed(rule, who)) return;
      named++;
      t.true(mayBeNamed(rule, who));
    }),
    { numRuns: 5000 },
  );
  t.true(named > 500);
});

for (const [title, doubt] of Object.entries({
  'in a user namespace of its own': IN_NAMESPACE,
  'under a subordinate uid': LENT,
  'whose process has other ids than its connection': CHANGED,
})) {
  test(`a subject ${title} is caught by every deny rule, and by no other rule that does not name it`, (t) => {
    for (const subjects of [{ uids: [7] }, { gids: [990] }, { units: ['profiler.service'] }, { administrator: true }]) {
      const rule = { ...NOBODY, ...subjects };
      t.false(appliesTo({ verdict: 'deny', subjects: rule }, subject()));
      t.true(appliesTo({ verdict: 'deny', subjects: rule }, subject(doubt)));
      for (const verdict of ['allow', 'ask'] as const)
        t.false(appliesTo({ verdict, subjects: rule }, subject(doubt)), verdict);
    }
  });
}

test('a subject whose unit is not known is caught by a deny rule for units, and not by one for users or groups', (t) => {
  const lost = subject({ cgroup: '/../elsewhere' });
  t.true(mayBeNamed({ ...NOBODY, units: ['profiler.service'] }, lost));
  t.false(mayBeNamed({ ...NOBODY, uids: [7], gids: [7] }, lost));
});
