import test from 'ava';
import type { Subject } from '#dist/model/subject.js';
import { matchesSubject } from '#dist/policy/subjects.js';
import type { RuleSubjects } from '#dist/policy/types.js';
import { administrator, member, subject } from './fixtures.js';

const NOBODY: RuleSubjects = { everyone: false, administrator: false, uids: [], gids: [], units: [] };
const SERVICE = subject({ uid: 99, gid: 99, groups: [], cgroup: '/system.slice/profiler.service' });

const rows: [string, Partial<RuleSubjects>, Subject, boolean][] = [
  ['everyone is anybody', { everyone: true }, subject(), true],
  ['users match by uid', { uids: [1, 1000] }, subject(), true],
  ['users do not match by gid', { uids: [1000] }, subject({ uid: 5 }), false],
  ['groups match a supplementary group', { gids: [990] }, member, true],
  ['groups match the gid itself', { gids: [7] }, subject({ gid: 7, groups: [] }), true],
  ['groups do not match others', { gids: [990] }, subject(), false],
  ['root with its capabilities is an administrator', { administrator: true }, administrator, true],
  ['root without capabilities is none', { administrator: true }, subject({ uid: 0, gid: 0 }), false],
  ['root of a container is none', { administrator: true }, { ...administrator, sameUserNamespace: false }, false],
  ['a user with capabilities is none', { administrator: true }, { ...administrator, uid: 1000 }, false],
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
  ['a subject of no known unit matches none', { units: ['p*'] }, subject({ cgroup: '' }), false],
  ['nobody matches a rule that names nobody', {}, administrator, false],
];
for (const [title, rule, who, expected] of rows) {
  test(title, (t) => {
    t.is(matchesSubject({ ...NOBODY, ...rule }, who), expected);
  });
}
