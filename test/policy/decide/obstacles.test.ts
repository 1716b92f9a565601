import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { isVerified, sameUserObstacles } from '#dist/model/identity/access.js';
import type { Subject } from '#dist/model/identity/subject.js';
import type { ProcessIdentity } from '#dist/model/identity/target.js';
import { obstacleOf, type Obstacle } from '#dist/policy/decide/obstacles.js';
import { process, subject, system } from '../fixtures.js';

interface Row {
  readonly title: string;
  readonly caller?: Partial<Subject>;
  readonly target: Partial<ProcessIdentity>;
  readonly code: Obstacle['code'];
  readonly text: RegExp;
  readonly remedy: RegExp;
}
const rows: Row[] = [
  {
    title: 'a process of another user',
    target: { uids: [1001, 1001, 1001], gids: [1001, 1001, 1001] },
    code: 'uid',
    text: /^its uid is 1001 and the caller's is 1000, its gid is 1001 and the caller's is 1000$/,
    remedy: /^Run the collector as uid 1001 with gid 1001, if the policy has a rule for that user\.$/,
  },
  {
    title: 'a setuid process, which no user owns alone',
    target: { uids: [1000, 0, 0], dumpable: false },
    code: 'uid',
    text: /^its uids are 1000\/0\/0 \(real\/effective\/saved\) and the caller's is 1000, it is not dumpable$/,
    remedy: /^Start the target without a setuid or setgid program: [^.]*\.$/,
  },
  {
    title: 'a process with another group, which the caller has as well',
    caller: { groups: [1000, 27] },
    target: { gids: [27, 27, 27] },
    code: 'gid',
    text: /^its gid is 27 and the caller's is 1000$/,
    remedy: /newgrp/,
  },
  {
    title: 'a process with a group that the caller does not have',
    target: { gids: [27, 27, 27] },
    code: 'gid',
    text: /^its gid is 27 /,
    remedy: /^Start the target with gid 1000 as its primary group\.$/,
  },
  {
    title: 'a setgid process',
    target: { gids: [1000, 27, 27] },
    code: 'gid',
    text: /^its gids are 1000\/27\/27 /,
    remedy: /without a setuid or setgid program/,
  },
  {
    title: 'a process that is not dumpable',
    target: { dumpable: false },
    code: 'not-dumpable',
    text: /^it is not dumpable$/,
    remedy: /PR_SET_DUMPABLE, 1/,
  },
  {
    title: 'a process with more capabilities',
    target: { permitted: 1n << 13n },
    code: 'capabilities',
    text: /^it has CAP_NET_RAW, which the caller does not have$/,
    remedy: /^Start the target without these capabilities/,
  },
  {
    title: 'a process with all capabilities',
    target: { permitted: (1n << 41n) - 1n },
    code: 'capabilities',
    text: /^it has CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH and 38 more, which the caller does not have$/,
    remedy: /^Start the target/,
  },
  {
    title: 'capabilities, where the groups of the caller are not those of its connection',
    caller: { asConnected: false },
    target: { permitted: 1n << 13n },
    code: 'capabilities',
    text: /do not count: its groups are not those of its connection$/,
    remedy: /^Connect to the broker again/,
  },
  {
    title: 'a process in another user namespace, whose capabilities mean nothing here',
    target: { sameUserNamespace: false, permitted: (1n << 41n) - 1n },
    code: 'user-namespace',
    text: /it is in another user namespace than the broker/,
    remedy: /^Run the target outside of its container/,
  },
  {
    title: "a process of another user's container",
    target: { sameUserNamespace: false, uids: [100_000, 100_000, 100_000] },
    code: 'user-namespace',
    text: /^its uid is 100000 and the caller's is 1000, it is in another user namespace than the broker$/,
    remedy: /^Run the target as uid 1000 with gid 1000, outside of its container/,
  },
  {
    title: 'a caller in another user namespace',
    caller: { sameUserNamespace: false },
    target: {},
    code: 'user-namespace',
    text: /^the caller is in another user namespace than the broker$/,
    remedy: /^Run the collector outside of its container/,
  },
];
const names = test.macro((t: ExecutionContext, { caller, target, code, text, remedy }: Row) => {
  const obstacle = obstacleOf(subject(caller), process(target));
  t.is(obstacle?.code, code);
  t.regex(obstacle?.text ?? '', text);
  t.regex(obstacle?.remedy ?? '', remedy);
  // The caller runs as this user already.
  if (!(obstacle?.text ?? '').includes('uid is')) t.notRegex(obstacle?.remedy ?? '', /as uid|runs as the caller/);
});
for (const row of rows) test(`the obstacle is named with a remedy: ${row.title}`, names, row);

test('an own process has no obstacle, and only processes have one', (t) => {
  t.is(obstacleOf(subject(), process()), undefined);
  t.is(obstacleOf(subject({ sameUserNamespace: false }), system), undefined);
});

test('the obstacle of a caller that is not dumpable is the caller itself', (t) => {
  const obstacle = obstacleOf(subject({ dumpable: false, permitted: 0n }), process({ permitted: 1n }));
  t.is(obstacle?.code, 'access');
  t.regex(
    obstacle?.text ?? '',
    /^the caller itself is not dumpable, so the broker cannot verify its capabilities and ids$/,
  );
  t.regex(obstacle?.remedy ?? '', /^After a change of ids .*\.$/);
});

test('the obstacle of the caller comes before those of the target, and both are named', (t) => {
  const mixed = subject({ gid: 27, asConnected: false, ownIds: false, dumpable: false });
  const obstacle = obstacleOf(mixed, process());
  t.is(obstacle?.code, 'access');
  t.regex(obstacle?.text ?? '', /^the caller itself is not dumpable.*; and its gid is 1000 and the caller's is 27$/);
  t.regex(obstacle?.remedy ?? '', /^After a change of ids.* Run the collector with gid 1000/);
});

test('a caller with other ids than its connection is an obstacle, and one with only other groups is not', (t) => {
  const obstacle = obstacleOf(subject({ asConnected: false, ownIds: false }), process());
  t.regex(obstacle?.text ?? '', /other uids or gids than its connection/);
  t.is(obstacleOf(subject({ asConnected: false }), process()), undefined);
  t.is(obstacleOf(subject(), process()), undefined);
});

test('there is an obstacle exactly where the kernel would find one or the caller is not verified, and it always has text and remedy', (t) => {
  const id = fc.constantFrom(0, 1000, 1001);
  const triple = fc.tuple(id, id, id);
  const capabilities = fc.constantFrom(0n, 1n, 1n << 63n, ~0n & 0xffff_ffff_ffff_ffffn);
  const flags = { sameUserNamespace: fc.boolean(), dumpable: fc.boolean() };
  const callers = fc.record({ uid: id, gid: id, permitted: capabilities, ...flags, ownIds: fc.boolean() });
  const targets = fc.record({ uids: triple, gids: triple, permitted: capabilities, ...flags });
  fc.assert(
    fc.property(callers, targets, (caller, target) => {
      const who = subject(caller);
      const what = process(target);
      const obstacle = obstacleOf(who, what);
      const obstacles = what.kind === 'process' ? sameUserObstacles(who, what.process) : [];
      t.is(obstacle === undefined, obstacles.length === 0 && isVerified(who));
      if (obstacle === undefined) return;
      t.true(isVerified(who) ? obstacles.some((name) => name === obstacle.code) : obstacle.code === 'access');
      t.regex(obstacle.text, /^\S.*\S$/);
      t.regex(obstacle.remedy, /^[A-Z].*\.$/);
    }),
  );
});
