import test from 'ava';
import { decide } from '#dist/policy/decide/decide.js';
import type { PolicyRequest, Reason } from '#dist/policy/types.js';
import { foreign, kernelEvent, policyOf, process, request, subject, system } from '../fixtures.js';

const ALL = policyOf(`[[rule]]
name = "all"
verdict = "allow"
subjects = { everyone = true }
targets = { any_user = true, system = true, any_cgroup = true }
classes = "all"
`);

/** Reasons for the denial of a request to a daemon with the ceiling that perfbrokerd has by default. */
function reasonsOf(asks: Partial<PolicyRequest>): readonly Reason[] {
  const verdict = decide(request({ ceiling: ['user'], ...asks }), ALL);
  return verdict.kind === 'deny' ? verdict.reasons : [];
}

test('a class that the ceiling excludes is a reason each', (t) => {
  const reasons = reasonsOf({ targets: [system], events: [kernelEvent] });
  t.deepEqual(
    reasons.map((reason) => (reason.code === 'ceiling' ? reason.class : reason.code)),
    ['kernel', 'system-wide'],
  );
});

test("the obstacle that keeps a process from being the caller's own follows, with its own code", (t) => {
  const codes = (asks: Partial<PolicyRequest>): string =>
    reasonsOf(asks)
      .map(({ code }) => code)
      .join(',');
  t.is(codes({ targets: [foreign()] }), 'ceiling,uid');
  t.is(codes({ targets: [process({ gids: [5, 5, 5] })] }), 'ceiling,gid');
  t.is(codes({ targets: [process({ dumpable: false })] }), 'ceiling,not-dumpable');
  t.is(codes({ targets: [process({ permitted: 1n })] }), 'ceiling,capabilities');
  t.is(codes({ targets: [process({ sameUserNamespace: false })] }), 'ceiling,user-namespace');
  t.is(codes({ subject: subject({ dumpable: false }) }), 'ceiling,access');
  t.is(codes({ subject: subject({ ownIds: false }) }), 'ceiling,access');
});

test('a caller whose target already runs as the caller is not advised to choose such a target', (t) => {
  for (const target of [process({ dumpable: false }), process({ permitted: 1n }), process({ gids: [5, 5, 5] })]) {
    const [reason] = reasonsOf({ targets: [target] });
    t.regex(reason?.text ?? '', /^the ceiling of this daemon excludes class other-users .*process 600/);
    t.regex(
      reason?.remedy ?? '',
      /^(?!.*runs? as the (?:caller|same user)).*Or ask the administrator to add other-users/,
    );
  }
});

test('a caller that the opener cannot verify is denied where the opener checks, and only there', (t) => {
  for (const unverified of [subject({ dumpable: false }), subject({ ownIds: false, asConnected: false })]) {
    t.is(decide(request({ subject: unverified, ceiling: ['user'] }), ALL).kind, 'deny');
    t.is(decide(request({ subject: unverified, ceiling: ['user', 'other-users'] }), ALL).kind, 'allow');
    t.is(
      decide(request({ subject: unverified, targets: [system], ceiling: ['user', 'system-wide'] }), ALL).kind,
      'allow',
    );
  }
});

test('many targets have few reasons', (t) => {
  const targets = Array.from({ length: 200 }, (_, index) => foreign({ pid: index + 1 }));
  t.is(reasonsOf({ targets }).length, 4);
});
