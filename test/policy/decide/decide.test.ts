import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { EVENT_CLASSES, type EventClass, type EventSpec } from '#dist/model/event.js';
import type { Target } from '#dist/model/identity/target.js';
import { decide } from '#dist/policy/decide/decide.js';
import { classesOfEvent, classesOfTarget, modeOf } from '#dist/policy/decide/needs.js';
import { appliesTo, mayBeNamed } from '#dist/policy/decide/subjects.js';
import { covers, touches } from '#dist/policy/decide/targets.js';
import type { Policy, PolicyRequest, Rule, Verdict } from '#dist/policy/types.js';
import * as fixtures from '../fixtures.js';
import {
  administrator,
  cgroup,
  counter,
  event,
  foreign,
  kernelEvent,
  member,
  policyOf,
  process,
  request,
  subject,
  system,
  tracepoint,
} from '../fixtures.js';

/** `allow own`, `deny no-rule`, `deny secret denied,...` */
function inShort(verdict: Verdict): string {
  if (verdict.kind !== 'deny') return `${verdict.kind} ${verdict.rule}`;
  return ['deny', verdict.rule, verdict.reasons.map(({ code }) => code).join(',')].filter(Boolean).join(' ');
}

const OWN = `
[[rule]]
name = "own"
verdict = "allow"
subjects = { groups = ["perfbroker"] }
targets = { same_user = true }
classes = ["user"]
`;
const COUNTING = `
[[rule]]
name = "count"
verdict = "allow"
subjects = { groups = ["perfbroker"] }
targets = { any_user = true }
classes = ["user", "other-users"]
mode = ["counting"]
`;
const SECRET = `
[[rule]]
name = "secret"
verdict = "deny"
subjects = { everyone = true }
targets = { any_user = true, executables = ["/usr/bin/secret"] }
classes = "all"
`;
const NO_KERNEL_SAMPLES = `
[[rule]]
name = "no-kernel"
verdict = "deny"
subjects = { everyone = true }
targets = { same_user = true }
classes = ["kernel"]
mode = ["sampling"]
`;
const NOT_OTHERS = `
[[rule]]
name = "not-others"
verdict = "deny"
subjects = { everyone = true }
targets = { any_user = true }
classes = ["other-users"]
`;
const ASK = `
[[rule]]
name = "ask"
verdict = "ask"
subjects = { everyone = true }
targets = { same_user = true }
classes = ["user", "kernel"]
`;
const ALL = `
[[rule]]
name = "all"
verdict = "allow"
subjects = { everyone = true }
targets = { any_user = true, system = true, any_cgroup = true }
classes = "all"
`;
const secret = process({ pid: 700, executable: '/usr/bin/secret' });

interface Row {
  readonly title: string;
  readonly policy: string;
  readonly asks: Partial<PolicyRequest>;
  readonly gives: string;
}
const rows: Row[] = [
  { title: 'a member samples its own process', policy: OWN, asks: { subject: member }, gives: 'allow own' },
  { title: 'a stranger does not', policy: OWN, asks: {}, gives: 'deny no-rule,subject' },
  {
    title: 'without rules nothing is allowed, not even to administrators',
    policy: '',
    asks: { subject: administrator },
    gives: 'deny no-rule',
  },
  {
    title: 'a member does not sample kernel mode',
    policy: OWN,
    asks: { subject: member, events: [kernelEvent] },
    gives: 'deny class',
  },
  {
    title: 'one event that is not allowed denies the request',
    policy: OWN,
    asks: { subject: member, events: [event(), tracepoint] },
    gives: 'deny class',
  },
  {
    title: 'one target that is not allowed denies the request',
    policy: OWN,
    asks: { subject: member, targets: [process(), foreign()] },
    gives: 'deny uid,class',
  },
  {
    title: 'a process with a capability that the client lacks is not its own',
    policy: OWN,
    asks: { subject: member, targets: [process({ permitted: 1n })] },
    gives: 'deny capabilities,class',
  },
  {
    title: 'the whole system needs a rule for it',
    policy: OWN,
    asks: { subject: member, targets: [system] },
    gives: 'deny target,class',
  },
  {
    title: 'two rules do not add up: one must cover the whole request',
    policy: OWN + COUNTING,
    asks: { subject: member, targets: [foreign()], events: [counter(), event()] },
    gives: 'deny mode,uid,class',
  },
  {
    title: 'a rule for counting allows counting',
    policy: OWN + COUNTING,
    asks: { subject: member, targets: [foreign()], events: [counter()] },
    gives: 'allow count',
  },
  {
    title: 'an event with side records is not a counting event',
    policy: COUNTING,
    asks: { subject: member, targets: [foreign()], events: [{ ...counter(), records: ['mmap2'] }] },
    gives: 'deny mode',
  },
  { title: 'the first rule that matches decides', policy: ASK + OWN, asks: { subject: member }, gives: 'ask ask' },
  {
    title: 'a rule that does not match is passed over',
    policy: OWN + ASK,
    asks: { subject: member, events: [kernelEvent] },
    gives: 'ask ask',
  },
  {
    title: 'a deny rule before an allow rule wins',
    policy: SECRET + ALL,
    asks: { targets: [secret] },
    gives: 'deny secret denied',
  },
  {
    title: 'an allow rule before a deny rule wins',
    policy: ALL + SECRET,
    asks: { targets: [secret] },
    gives: 'allow all',
  },
  {
    title: 'a request that the deny rule does not name goes on to the next rule',
    policy: SECRET + ALL,
    asks: { targets: [process()] },
    gives: 'allow all',
  },
  {
    title: 'a denied target among other targets denies the request',
    policy: SECRET + ALL,
    asks: { targets: [process(), secret, foreign()] },
    gives: 'deny secret denied',
  },
  {
    title: 'a denied process is not reached through the whole system',
    policy: SECRET + ALL,
    asks: { targets: [system] },
    gives: 'deny secret denied',
  },
  {
    title: 'a denied process is not reached through a cgroup',
    policy: SECRET + ALL,
    asks: { targets: [cgroup('/')] },
    gives: 'deny secret denied',
  },
  {
    title: 'a process whose executable is not known may be the denied one',
    policy: SECRET + ALL,
    asks: { targets: [process({ executable: '[innocent]' })] },
    gives: 'deny secret denied',
  },
  {
    title: 'a deny rule for a class and a mode catches one event of both',
    policy: NO_KERNEL_SAMPLES + ALL,
    asks: { events: [counter(), kernelEvent] },
    gives: 'deny no-kernel denied',
  },
  {
    title: 'a deny rule for a class and a mode lets pass an event of each',
    policy: NO_KERNEL_SAMPLES + ALL,
    asks: { events: [event(), { ...counter(), exclude: [] }] },
    gives: 'allow all',
  },
  {
    title: 'a deny rule for a class that a target needs catches that target',
    policy: NOT_OTHERS + ALL,
    asks: { targets: [process(), foreign()] },
    gives: 'deny not-others denied',
  },
  {
    title: 'a deny rule for a class that only other targets need lets pass the rest',
    policy: NOT_OTHERS + ALL,
    asks: { targets: [process(), system] },
    gives: 'allow all',
  },
  {
    title: 'the ceiling comes before the rules',
    policy: ALL,
    asks: { events: [kernelEvent, tracepoint], ceiling: ['user', 'other-users'] },
    gives: 'deny ceiling,ceiling',
  },
  {
    title: 'the ceiling binds administrators',
    policy: ALL,
    asks: { subject: administrator, targets: [foreign()], ceiling: ['user'] },
    gives: 'deny ceiling,uid',
  },
  {
    title: 'an administrator needs class other-users for the processes of others',
    policy: ALL.replace('"all"\n', '"x"\n').replace('classes = "all"', 'classes = ["user"]'),
    asks: { subject: administrator, targets: [foreign()] },
    gives: 'deny class',
  },
  { title: 'a request without events is denied', policy: ALL, asks: { events: [] }, gives: 'deny class' },
  { title: 'a request without targets is denied', policy: ALL, asks: { targets: [] }, gives: 'deny target' },
];
const row = test.macro((t: ExecutionContext, { policy, asks, gives }: Row) => {
  t.is(inShort(decide(request(asks), policyOf(policy))), gives);
});
for (const each of rows) test(each.title, row, each);

const LIMITED = `${OWN}limits = { frequency = 1000, min_period = 10, ring = "1 MiB", fds = 8, lease = "1 min", stack = 1024 }\n${ALL}`;
const limits: [string, Partial<PolicyRequest>, RegExp | 'allow'][] = [
  ['the highest frequency is allowed', { events: [event({ sampling: { frequency: 1000 } })] }, 'allow'],
  [
    'one Hz above the highest frequency is denied',
    { events: [event({ sampling: { frequency: 1001 } })] },
    /frequency: event 0 requests 1001 Hz, 1000 allowed/,
  ],
  ['NaN is not a frequency', { events: [event({ sampling: { frequency: NaN } })] }, /frequency/],
  ['a cpu-clock period is a frequency', { events: [event({ sampling: { period: 1_000_000n } })] }, 'allow'],
  [
    'a shorter cpu-clock period is denied',
    { events: [event(), event({ sampling: { period: 999_999n } })] },
    /frequency: event 1 requests period 999999, at least 1000000 allowed/,
  ],
  [
    'cycles are held to the clock of the processor',
    { events: [event({ source: { kind: 'hardware', name: 'cpu-cycles' }, sampling: { period: 999_999n } })] },
    /frequency/,
  ],
  [
    'page faults have no clock',
    { events: [event({ source: { kind: 'software', name: 'page-faults' }, sampling: { period: 10n } })] },
    'allow',
  ],
  [
    'page faults are held to the least period',
    { events: [event({ source: { kind: 'software', name: 'page-faults' }, sampling: { period: 9n } })] },
    /min_period: event 0 requests period 9, at least 10 allowed/,
  ],
  [
    'a period of 0 is too short',
    { events: [event({ source: { kind: 'software', name: 'page-faults' }, sampling: { period: 0n } })] },
    /min_period/,
  ],
  ['stack up to the limit is allowed', { events: [event({ stackUser: 1024 })] }, 'allow'],
  [
    'stack above the limit is denied',
    { events: [event({ stackUser: 1032 })] },
    /stack: event 0 requests 1032 B, 1 KiB allowed/,
  ],
  ['a ring up to the limit is allowed', { ringBytes: 2 ** 20 }, 'allow'],
  ['a ring above the limit is denied', { ringBytes: 2 ** 21 }, /ring: 2 MiB requested, 1 MiB allowed/],
  ['fds up to the limit are allowed', { fds: 8 }, 'allow'],
  ['fds above the limit are denied', { fds: 9 }, /fds: 9 requested, 8 allowed/],
  ['a lease up to the limit is allowed', { leaseSeconds: 60 }, 'allow'],
  ['a lease above the limit is denied', { leaseSeconds: 61 }, /lease: 61 s requested, 1 min allowed/],
  ['a lease without end is denied', { leaseSeconds: 0 }, /lease: none requested, 1 min allowed/],
  ['a negative lease is denied', { leaseSeconds: -1 }, /lease/],
];
for (const [title, asks, gives] of limits) {
  test(`limits: ${title}`, (t) => {
    const verdict = decide(request({ subject: member, ...asks }), policyOf(LIMITED));
    // ALL would allow it, but the first rule that matches decides.
    t.is(verdict.rule, 'own');
    if (gives === 'allow') return t.is(verdict.kind, 'allow');
    if (verdict.kind !== 'deny') return t.fail(verdict.kind);
    t.deepEqual(
      verdict.reasons.map(({ code }) => code),
      ['limit'],
    );
    return t.regex(verdict.reasons[0]?.text ?? '', gives);
  });
}

test('a lease without end is allowed where the rule has none either', (t) => {
  const policy = policyOf(`${OWN}limits = { lease = "none" }`);
  t.is(decide(request({ subject: member, leaseSeconds: 0 }), policy).kind, 'allow');
  t.is(decide(request({ subject: member, leaseSeconds: 10 ** 9 }), policy).kind, 'allow');
});

test('every limit that is exceeded is a reason', (t) => {
  const verdict = decide(
    request({ subject: member, fds: 10 ** 7, ringBytes: 10 ** 12, leaseSeconds: 0 }),
    policyOf(OWN),
  );
  t.is(inShort(verdict), 'deny own limit,limit,limit');
});

test('a request that a rule asks about is still held to its limits', (t) => {
  t.is(inShort(decide(request({ fds: 10 ** 7 }), policyOf(ASK))), 'deny ask limit');
});

test('an allow verdict carries the rule, its place, its limits and the classes', (t) => {
  const policy = policyOf(OWN);
  t.deepEqual(decide(request({ subject: member }), policy), {
    kind: 'allow',
    rule: 'own',
    where: 'policy.toml:2',
    limits: policy.rules[0]?.limits,
    classes: ['user'],
  });
});

test('reasons of rules that name the subject come before those of other rules, the nearest rule first', (t) => {
  const far = COUNTING.replace('any_user', 'same_user');
  const verdict = decide(
    request({ subject: member, targets: [foreign()], events: [kernelEvent] }),
    policyOf(far + OWN.replace('perfbroker', 'ops') + ASK),
  );
  if (verdict.kind !== 'deny') return t.fail(verdict.kind);
  t.deepEqual(
    verdict.reasons.map(({ code, text }) => `${code}: ${text}`),
    [
      'uid: rule "ask" does not cover process 600 ("/usr/bin/work", uid 1001): it covers the caller\'s own processes, and its uid is 1001 and the caller\'s is 1000, its gid is 1001 and the caller\'s is 1000',
      'class: rule "ask" does not allow class other-users, which process 600 ("/usr/bin/work", uid 1001) needs: its uid is 1001 and the caller\'s is 1000, its gid is 1001 and the caller\'s is 1000',
      'uid: rule "count" does not cover process 600 ("/usr/bin/work", uid 1001): it covers the caller\'s own processes, and its uid is 1001 and the caller\'s is 1000, its gid is 1001 and the caller\'s is 1000',
      'class: rule "count" does not allow class kernel',
      'mode: rule "count" does not allow sampling',
      'subject: rule "own" names other subjects',
    ],
  );
  return undefined;
});

test('a request of a thousand targets is not answered with a thousand reasons', (t) => {
  const targets = Array.from({ length: 1000 }, (_, index) => foreign({ pid: index + 1 }));
  const verdict = decide(request({ subject: member, targets }), policyOf(OWN));
  if (verdict.kind !== 'deny') return t.fail(verdict.kind);
  t.is(verdict.reasons.length, 5);
  t.regex(verdict.reasons[3]?.text ?? '', /997 more targets/);
  return undefined;
});

test('a name that a process chose cannot put control characters into a reason', (t) => {
  const targets = [foreign({ executable: '[\u001b[2J\u202e"\n]' })];
  const verdict = decide(request({ subject: member, targets }), policyOf(OWN));
  t.notRegex(
    JSON.stringify(verdict, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)).replaceAll(
      '\\\\',
      '',
    ),
    /\\n|\\u00|\u202e/,
  );
  t.regex(
    verdict.kind === 'deny' ? (verdict.reasons[0]?.text ?? '') : '',
    /"\[\\u\{001b\}\[2J\\u\{202e\}\\"\\u\{000a\}\]"/,
  );
});

// ---- properties: random policies and requests ----

const classSets = fc.subarray([...EVENT_CLASSES], { minLength: 1 });
const rules: fc.Arbitrary<Rule> = fc
  .record({
    verdict: fc.constantFrom('allow', 'allow', 'deny', 'ask' as const),
    everyone: fc.boolean(),
    uids: fc.subarray([0, 1000]),
    gids: fc.subarray([990]),
    sameUser: fc.boolean(),
    anyUser: fc.boolean(),
    targetUids: fc.subarray([0, 1000, 1001]),
    executables: fc.oneof(fc.constant([]), fc.subarray(['/usr/bin/work', '/usr/bin/secret'])),
    system: fc.boolean(),
    anyCgroup: fc.boolean(),
    classes: fc.oneof(fc.constant(EVENT_CLASSES), classSets),
    counting: fc.boolean(),
    sampling: fc.boolean(),
    downgrade: fc.boolean(),
  })
  .map((random) => ({
    name: 'random',
    where: 'random:1',
    verdict: random.verdict,
    subjects: { everyone: random.everyone, administrator: false, uids: random.uids, gids: random.gids, units: [] },
    targets: {
      sameUser: random.sameUser,
      anyUser: random.anyUser,
      uids: random.targetUids,
      units: [],
      cgroups: [],
      executables: random.executables,
      system: random.system,
      anyCgroup: random.anyCgroup,
    },
    classes: random.classes,
    counting: random.counting,
    sampling: random.sampling,
    downgrade: random.downgrade,
    limits: { frequency: 4000, minPeriod: 1, ringBytes: 1, fds: 100, grants: 1, leaseSeconds: 1, stackBytes: 1 },
  }));
const policies: fc.Arbitrary<Policy> = fc.array(rules, { maxLength: 5 }).map((list) => ({
  sources: [],
  rules: list.map((rule, index) => ({ ...rule, name: `rule ${index}` })),
  service: { requestsPerSecond: 1, burst: 1, connections: 1, idleExitSeconds: 0 },
  warnings: [],
}));
const targets: fc.Arbitrary<Target> = fc.constantFrom(
  process(),
  process({ pid: 601, dumpable: false }),
  process({ pid: 602, executable: '[x]' }),
  foreign({ pid: 603 }),
  foreign({ pid: 604, uids: [1001, 0, 0] }),
  secret,
  system,
  cgroup('/a'),
);
const events: fc.Arbitrary<EventSpec> = fc.constantFrom(
  event(),
  counter(),
  kernelEvent,
  tracepoint,
  { ...counter(), exclude: [] },
  event({ source: { kind: 'raw', config: 1n } }),
);
const requests: fc.Arbitrary<PolicyRequest> = fc
  .record({
    subject: fc.constantFrom(subject(), member, administrator, subject({ sameUserNamespace: false, mayBeMany: true })),
    targets: fc.array(targets, { maxLength: 3 }),
    events: fc.array(events, { maxLength: 3 }),
    ceiling: fc.oneof({ weight: 3, arbitrary: fc.constant(EVENT_CLASSES) }, { weight: 1, arbitrary: classSets }),
    fds: fc.constantFrom(1, 101),
  })
  .map((random) => request(random as Partial<PolicyRequest>));

/** Checks a statement about random verdicts; `relevant` makes sure that it was not about nothing. */
function always(
  t: ExecutionContext,
  atLeast: number,
  statement: (request: PolicyRequest, policy: Policy, verdict: Verdict) => boolean | undefined,
): void {
  let relevant = 0;
  fc.assert(
    fc.property(requests, policies, (asked, policy) => {
      const held = statement(asked, policy, decide(asked, policy));
      if (held !== undefined) relevant++;
      return held ?? true;
    }),
    { numRuns: 4000 },
  );
  t.true(relevant >= atLeast, `${relevant} cases`);
}

test('a subject that left a denied group in a user namespace is denied, and the reason says why', (t) => {
  const policy = policyOf(NOT_OTHERS.replace('everyone = true', 'groups = ["ops"]') + ALL);
  const asks = { targets: [foreign()] };
  t.is(inShort(decide(request(asks), policy)), 'allow all');
  t.is(inShort(decide(request({ ...asks, subject: subject({ groups: [991] }) }), policy)), 'deny not-others denied');
  const left = decide(request({ ...asks, subject: subject({ sameUserNamespace: false, mayBeMany: true }) }), policy);
  t.is(inShort(left), 'deny not-others denied');
  if (left.kind !== 'deny') return;
  t.regex(left.reasons[0]?.text ?? '', /; the rule may name the caller, because it is in a user namespace of its own$/);
});

test('one allow rule covers each class, mode and target of an allowed request, and the ceiling covers each class', (t) => {
  always(t, 50, (asked, policy, verdict) => {
    if (verdict.kind !== 'allow') return undefined;
    const rule = policy.rules.find(({ name }) => name === verdict.rule);
    if (rule?.verdict !== 'allow' || !appliesTo(rule, asked.subject)) return false;
    return asked.events.every((spec) =>
      asked.targets.every((target) => {
        const classes: EventClass[] = [...classesOfEvent(spec), ...classesOfTarget(target, asked.subject)];
        return (
          covers(rule.targets, target, asked.subject) &&
          rule[modeOf(spec)] &&
          classes.every((name) => rule.classes.includes(name) && asked.ceiling.includes(name))
        );
      }),
    );
  });
});

test('each part of an allowed request is also allowed or asked about alone, unless an earlier rule limits it', (t) => {
  always(t, 50, (asked, policy, verdict) => {
    if (verdict.kind !== 'allow') return undefined;
    const index = policy.rules.findIndex(({ name }) => name === verdict.rule);
    return asked.targets.every((target) =>
      asked.events.every((spec) => {
        const part = decide({ ...asked, targets: [target], events: [spec] }, policy);
        // Never a deny rule: one that catches the part would have caught the whole.
        return (
          part.kind !== 'deny' ||
          (policy.rules.findIndex(({ name }) => name === part.rule) < index && part.reasons[0]?.code === 'limit')
        );
      }),
    );
  });
});

test('removing a rule that does not deny never allows a request that a deny rule denied', (t) => {
  always(t, 50, (asked, policy, verdict) => {
    if (verdict.kind !== 'deny' || verdict.reasons[0]?.code !== 'denied') return undefined;
    return policy.rules
      .filter(({ verdict: kind }) => kind !== 'deny')
      .every(
        ({ name }) =>
          decide(asked, { ...policy, rules: policy.rules.filter((rule) => rule.name !== name) }).kind === 'deny',
      );
  });
});

test('a request that no rule matched stays denied when any rule is removed', (t) => {
  always(t, 500, (asked, policy, verdict) => {
    if (verdict.kind !== 'deny' || verdict.rule !== undefined) return undefined;
    return policy.rules.every(
      ({ name }) =>
        decide(asked, { ...policy, rules: policy.rules.filter((rule) => rule.name !== name) }).kind === 'deny',
    );
  });
});

test('a deny rule that stands first denies every request that it touches', (t) => {
  always(t, 500, (asked, policy) => {
    const denies: Rule[] = policy.rules.slice(0, 1).map((rule) => ({
      ...rule,
      verdict: 'deny',
      classes: EVENT_CLASSES,
      counting: true,
      sampling: true,
      downgrade: true,
    }));
    const [deny] = denies;
    if (deny === undefined || !mayBeNamed(deny.subjects, asked.subject)) return undefined;
    if (!asked.targets.some((target) => touches(deny.targets, target, asked.subject))) return undefined;
    return decide(asked, { ...policy, rules: [deny, ...policy.rules] }).kind === 'deny';
  });
});

test('every denial has a reason, and each reason one line of text', (t) => {
  always(t, 1000, (_asked, _policy, verdict) =>
    verdict.kind === 'deny'
      ? verdict.reasons.length > 0 && verdict.reasons.every(({ text }) => /^[^\n]+$/.test(text))
      : undefined,
  );
});

test('deciding changes nothing: the same question has the same answer', (t) => {
  always(t, 4000, (asked, policy, verdict) => {
    t.deepEqual(decide(asked, policy), verdict);
    return true;
  });
});

test('fixtures match their descriptions', (t) => {
  t.deepEqual(classesOfEvent(fixtures.event()), ['user']);
  t.deepEqual(classesOfEvent(fixtures.kernelEvent), ['user', 'kernel']);
  t.deepEqual(classesOfTarget(fixtures.foreign(), fixtures.subject()), ['other-users']);
});
