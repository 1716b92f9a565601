import test from 'ava';
import type { NameResolver } from '#dist/policy/load/names.js';
import { decide } from '#dist/policy/decide/decide.js';
import { BUILT_IN_LIMITS } from '#dist/policy/load/limits.js';
import { lintPolicy } from '#dist/policy/check/lint.js';
import { builtIn } from '#dist/policy/load/load.js';
import { parsePolicy } from '#dist/policy/load/parse.js';
import type { PolicyRequest } from '#dist/policy/types.js';
import {
  administrator,
  cgroup,
  event,
  foreign,
  kernelEvent,
  member,
  names,
  process,
  request,
  subject,
  system,
  tracepoint,
} from './fixtures.js';

const policy = parsePolicy([builtIn()], names);

test('the default policy gives no warning where its group exists', (t) => {
  t.deepEqual(policy.warnings, []);
  t.deepEqual(lintPolicy(policy), []);
});

test('the limits of the default policy are the built-in ones', (t) => {
  t.deepEqual(policy.rules.find(({ name }) => name === 'own-processes')?.limits, BUILT_IN_LIMITS);
});

const cases: [string, Partial<PolicyRequest>, string][] = [
  [
    'a member samples its own processes at 4,000 Hz',
    { subject: member, events: [event({ sampling: { frequency: 4000 } })] },
    'allow own-processes',
  ],
  [
    'a member does not sample at 4,001 Hz',
    { subject: member, events: [event({ sampling: { frequency: 4001 } })] },
    'deny own-processes',
  ],
  ['a member may not observe kernel mode without being asked', { subject: member, events: [kernelEvent] }, 'ask ask'],
  ['a member is not allowed tracepoints without being asked', { subject: member, events: [tracepoint] }, 'ask ask'],
  [
    'a member does not get the processes of others without being asked',
    { subject: member, targets: [foreign()] },
    'ask ask',
  ],
  [
    'a member does not get a setuid process that it started without being asked',
    { subject: member, targets: [process({ uids: [1000, 0, 0] })] },
    'ask ask',
  ],
  ['a member does not get the system without being asked', { subject: member, targets: [system] }, 'ask ask'],
  [
    'a member does not get a cgroup without being asked',
    { subject: member, targets: [cgroup('/user.slice')] },
    'ask ask',
  ],
  ['any other user is asked about their own processes', { subject: subject() }, 'ask ask'],
  [
    'an administrator gets the processes of others, kernel mode and tracepoints',
    { subject: administrator, targets: [foreign()], events: [kernelEvent, tracepoint] },
    'allow administrator',
  ],
  [
    'an administrator gets the system and cgroups',
    { subject: administrator, targets: [system, cgroup('/')] },
    'allow administrator',
  ],
  [
    'root without capabilities is not an administrator, and is asked',
    { subject: { ...administrator, permitted: 0n }, targets: [system] },
    'ask ask',
  ],
  [
    'the ceiling binds an administrator',
    { subject: administrator, targets: [system], ceiling: ['user'] },
    'deny undefined',
  ],
];
for (const [title, asks, gives] of cases) {
  test(`by default ${title}`, (t) => {
    const verdict = decide(request(asks), policy);
    t.is(`${verdict.kind} ${verdict.rule}`, gives);
  });
}

test('an ask says why no rule allows the request without authorization', (t) => {
  const verdict = decide(request({ subject: member, targets: [foreign()] }), policy);
  t.is(verdict.kind, 'ask');
  const reasons = verdict.kind === 'ask' ? verdict.reasons : [];
  t.deepEqual(
    reasons.map(({ code }) => code),
    ['uid', 'class', 'subject'],
  );
  t.regex(reasons[0]?.text ?? '', /"own-processes" does not cover process/);
});

test('where its group does not exist the default policy loads, says so, and allows its members nothing', (t) => {
  const without: NameResolver = { user: names.user, group: () => undefined };
  const lenient = parsePolicy([builtIn()], without);
  t.is(lenient.warnings.length, 1);
  t.regex(lenient.warnings[0] ?? '', /no group "perfbroker".*"own-processes"/);
  t.is(decide(request({ subject: member }), lenient).kind, 'ask');
  t.is(decide(request({ subject: administrator }), lenient).kind, 'allow');
});

test('in a file of the administrator the same group is an error', (t) => {
  const { text } = builtIn();
  t.throws(() => parsePolicy([{ file: 'policy.toml', text }], { user: names.user, group: () => undefined }), {
    message: /no group is called "perfbroker"/,
  });
});
