import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import type { Subject } from '#dist/model/identity/subject.js';
import type { ProcessIdentity, Target } from '#dist/model/identity/target.js';
import { covers, touches } from '#dist/policy/decide/targets.js';
import type { RuleTargets } from '#dist/policy/types.js';
import { cgroup, foreign, process, subject, system } from '../fixtures.js';

const NOTHING: RuleTargets = {
  sameUser: false,
  anyUser: false,
  uids: [],
  units: [],
  cgroups: [],
  executables: [],
  system: false,
  anyCgroup: false,
};

const NGINX = '/system.slice/nginx.service';

interface Row {
  readonly title: string;
  readonly rule: Partial<RuleTargets>;
  readonly target: Target;
  readonly covers: boolean;
  readonly touches: boolean;
}
const rows: Row[] = [
  {
    title: 'same_user: a process of the same user',
    rule: { sameUser: true },
    target: process(),
    covers: true,
    touches: true,
  },
  {
    title: 'same_user: a process of another user',
    rule: { sameUser: true },
    target: foreign(),
    covers: false,
    touches: false,
  },
  {
    title: 'same_user: a setuid process that the user started',
    rule: { sameUser: true },
    target: process({ uids: [1000, 0, 0] }),
    covers: false,
    touches: true,
  },
  {
    title: 'same_user: a process that is not dumpable',
    rule: { sameUser: true },
    target: process({ dumpable: false }),
    covers: false,
    touches: true,
  },
  {
    title: 'same_user: a process with a capability more',
    rule: { sameUser: true },
    target: process({ permitted: 1n }),
    covers: false,
    touches: true,
  },
  {
    title: 'same_user: a process with another saved gid',
    rule: { sameUser: true },
    target: process({ gids: [1000, 1000, 5] }),
    covers: false,
    touches: true,
  },
  {
    title: 'same_user: a process in another user namespace',
    rule: { sameUser: true },
    target: process({ sameUserNamespace: false }),
    covers: false,
    touches: true,
  },
  {
    title: 'any_user: a process of another user',
    rule: { anyUser: true },
    target: foreign(),
    covers: true,
    touches: true,
  },
  { title: 'any_user: the whole system', rule: { anyUser: true }, target: system, covers: false, touches: true },
  { title: 'any_user: a cgroup', rule: { anyUser: true }, target: cgroup(NGINX), covers: false, touches: true },
  {
    title: 'users: a process that is wholly this user',
    rule: { uids: [7, 1001] },
    target: foreign(),
    covers: true,
    touches: true,
  },
  {
    title: 'users: a process that is partly this user',
    rule: { uids: [1001] },
    target: foreign({ uids: [1001, 0, 0] }),
    covers: false,
    touches: true,
  },
  {
    title: 'users: a process of two users that are both named',
    rule: { uids: [0, 1001] },
    target: foreign({ uids: [1001, 0, 0] }),
    covers: false,
    touches: true,
  },
  { title: 'users: a process of another user', rule: { uids: [0] }, target: foreign(), covers: false, touches: false },
  { title: 'system: the whole system', rule: { system: true }, target: system, covers: true, touches: true },
  { title: 'system: a process', rule: { system: true }, target: process(), covers: false, touches: false },
  { title: 'any_cgroup: a cgroup', rule: { anyCgroup: true }, target: cgroup('/a'), covers: true, touches: true },
  { title: 'any_cgroup: the whole system', rule: { anyCgroup: true }, target: system, covers: false, touches: false },
  {
    title: 'executables: the named one',
    rule: { anyUser: true, executables: ['/a', '/usr/bin/work'] },
    target: process(),
    covers: true,
    touches: true,
  },
  {
    title: 'executables: another',
    rule: { anyUser: true, executables: ['/a'] },
    target: process(),
    covers: false,
    touches: false,
  },
  {
    title: 'executables: one that could not be read',
    rule: { anyUser: true, executables: ['/a'] },
    target: process({ executable: '[a]' }),
    covers: false,
    touches: true,
  },
  {
    title: 'executables: the named one, deleted',
    rule: { anyUser: true, executables: ['/a'] },
    target: process({ executable: '/a (deleted)' }),
    covers: false,
    touches: true,
  },
  {
    title: 'executables: the whole system',
    rule: { anyUser: true, executables: ['/a'] },
    target: system,
    covers: false,
    touches: true,
  },
  {
    title: 'executables: a cgroup',
    rule: { anyUser: true, executables: ['/a'], cgroups: ['/b'] },
    target: cgroup('/b'),
    covers: false,
    touches: true,
  },
  {
    title: 'executables of the same user: another user runs it',
    rule: { sameUser: true, executables: ['/usr/bin/work'] },
    target: foreign(),
    covers: false,
    touches: false,
  },
  {
    title: 'units: a process in it',
    rule: { anyUser: true, units: ['nginx.service'] },
    target: process({ cgroup: `${NGINX}/a` }),
    covers: true,
    touches: true,
  },
  {
    title: 'units: a process in a namesake below a user manager',
    rule: { anyUser: true, units: ['nginx.service'] },
    target: process({ cgroup: '/user.slice/user-1000.slice/user@1000.service/nginx.service' }),
    covers: false,
    touches: false,
  },
  {
    title: 'units: a process of an unknown cgroup',
    rule: { anyUser: true, units: ['nginx.service'] },
    target: process({ cgroup: '/../x' }),
    covers: false,
    touches: true,
  },
  {
    title: 'units: the cgroup of the unit, of any user',
    rule: { anyUser: true, units: ['nginx.service'] },
    target: cgroup(NGINX),
    covers: true,
    touches: true,
  },
  {
    title: 'units: the cgroup of the unit, of the same user',
    rule: { sameUser: true, units: ['nginx.service'] },
    target: cgroup(NGINX),
    covers: false,
    touches: true,
  },
  {
    title: 'units: the cgroup of another unit',
    rule: { anyUser: true, units: ['nginx.service'] },
    target: cgroup('/system.slice/a.service'),
    covers: false,
    touches: false,
  },
  {
    title: 'units: a slice above it',
    rule: { anyUser: true, units: ['nginx.service'] },
    target: cgroup('/system.slice'),
    covers: false,
    touches: true,
  },
  {
    title: 'cgroups: a process below it',
    rule: { anyUser: true, cgroups: ['/a'] },
    target: process({ cgroup: '/a/b' }),
    covers: true,
    touches: true,
  },
  {
    title: 'cgroups: a process beside it',
    rule: { anyUser: true, cgroups: ['/a'] },
    target: process({ cgroup: '/ab' }),
    covers: false,
    touches: false,
  },
  {
    title: 'cgroups: one below it',
    rule: { anyUser: true, cgroups: ['/a'] },
    target: cgroup('/a/b'),
    covers: true,
    touches: true,
  },
  {
    title: 'cgroups: one above it',
    rule: { anyUser: true, cgroups: ['/a/b'] },
    target: cgroup('/a'),
    covers: false,
    touches: true,
  },
  {
    title: 'cgroups: one beside it',
    rule: { anyUser: true, cgroups: ['/a'] },
    target: cgroup('/b'),
    covers: false,
    touches: false,
  },
  {
    title: 'cgroups and executables: both must fit',
    rule: { anyUser: true, cgroups: ['/a'], executables: ['/x'] },
    target: process({ cgroup: '/a', executable: '/y' }),
    covers: false,
    touches: false,
  },
  {
    title: 'cgroups and units: both must fit',
    rule: { anyUser: true, cgroups: ['/a'], units: ['nginx.service'] },
    target: process({ cgroup: NGINX }),
    covers: false,
    touches: false,
  },
];
const row = test.macro((t: ExecutionContext, { rule, target, covers: covered, touches: touched }: Row) => {
  t.is(covers({ ...NOTHING, ...rule }, target, subject()), covered, 'covers');
  t.is(touches({ ...NOTHING, ...rule }, target, subject()), touched, 'touches');
});
for (const each of rows) {
  test(
    `${each.title} is ${each.covers ? '' : 'not '}covered by an allow rule and ${each.touches ? '' : 'not '}caught by a deny rule`,
    row,
    each,
  );
}

const uid = fc.constantFrom(0, 1000, 1001);
const paths = fc.constantFrom('/', '/a', '/a/b', '/ab', NGINX, `${NGINX}/x`, '/system.slice', '', '/../a');
const executables = fc.constantFrom('/x', '/x (deleted)', '/y', '[x]');
const identities: fc.Arbitrary<ProcessIdentity> = fc.record({
  pid: fc.constant(1),
  startTime: fc.constant(1n),
  uids: fc.tuple(uid, uid, uid),
  gids: fc.tuple(uid, uid, uid),
  permitted: fc.constantFrom(0n, 1n),
  dumpable: fc.boolean(),
  sameUserNamespace: fc.boolean(),
  executable: executables,
  cgroup: paths,
});
const anyTarget: fc.Arbitrary<Target> = fc.oneof(
  {
    weight: 4,
    arbitrary: identities.map((identity): Target => ({ kind: 'process', threads: 'all', process: identity })),
  },
  { weight: 1, arbitrary: fc.constant(system) },
  { weight: 2, arbitrary: paths.map(cgroup) },
);
const ruleTargets: fc.Arbitrary<RuleTargets> = fc.record({
  sameUser: fc.boolean(),
  anyUser: fc.boolean(),
  uids: fc.subarray([0, 1000]),
  units: fc.subarray(['nginx.service', 'a*']),
  cgroups: fc.subarray(['/', '/a', '/a/b', '/system.slice']),
  executables: fc.subarray(['/x', '/z']),
  system: fc.boolean(),
  anyCgroup: fc.boolean(),
});
const subjects: fc.Arbitrary<Subject> = uid.map((id) => subject({ uid: id, gid: id }));

test('every target that a rule covers is caught by a deny rule with the same targets', (t) => {
  let covered = 0;
  fc.assert(
    fc.property(ruleTargets, anyTarget, subjects, (rule, target, who) => {
      if (!covers(rule, target, who)) return;
      covered++;
      t.true(touches(rule, target, who));
    }),
    { numRuns: 5000 },
  );
  t.true(covered > 500);
});

test('a longer list of places or executables never covers less than a shorter one that is not empty', (t) => {
  fc.assert(
    fc.property(ruleTargets, anyTarget, subjects, (rule, target, who) => {
      for (const [key, more] of [
        ['units', 'b*'],
        ['cgroups', '/b'],
        ['executables', '/q'],
      ] as const) {
        if (rule[key].length === 0 || !covers(rule, target, who)) continue;
        t.true(covers({ ...rule, [key]: [...rule[key], more] }, target, who));
      }
    }),
    { numRuns: 2000 },
  );
});
