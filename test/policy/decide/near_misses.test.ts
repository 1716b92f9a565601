import test from 'ava';
import { neededClasses } from '#dist/policy/decide/needs.js';
import { nearMisses } from '#dist/policy/decide/near_misses.js';
import type { PolicyRequest, Reason } from '#dist/policy/types.js';
import { event, foreign, kernelEvent, member, policyOf, process, request, system } from '../fixtures.js';

const OWN = policyOf(`[[rule]]
name = "own"
verdict = "allow"
subjects = { groups = ["perfbroker"] }
targets = { same_user = true }
classes = ["user"]
mode = ["counting"]
`);
function missesOf(asks: Partial<PolicyRequest>): readonly Reason[] {
  const asked = request({ subject: member, ...asks });
  return nearMisses(asked, neededClasses(asked), OWN.rules);
}

test('every reason has advice for what it names', (t) => {
  const [target, systemWide, sampling] = missesOf({ targets: [system] });
  t.like(target, { code: 'target', rule: 'own', text: 'rule "own" does not cover the whole system' });
  t.regex(target?.remedy ?? '', /^Name processes/);
  t.regex(systemWide?.remedy ?? '', /class system-wide/);
  t.like(sampling, { code: 'mode', text: 'rule "own" does not allow sampling' });
  t.regex(sampling?.remedy ?? '', /^Count instead/);
});

test('a class of a target comes with the obstacle of that target', (t) => {
  const reason = missesOf({ targets: [process({ dumpable: false })] }).find(({ code }) => code === 'class');
  t.regex(reason?.text ?? '', /class other-users, which process 600 .* needs: it is not dumpable$/);
  t.notRegex(reason?.remedy ?? '', /`:u`/);
});

test('the advice for the kernel is to exclude it', (t) => {
  const reason = missesOf({ events: [kernelEvent] }).find(({ code }) => code === 'class');
  t.regex(reason?.remedy ?? '', /^Exclude the kernel/);
});

test('a rule for others is named last, and the lack of a rule for the subject is a separate reason', (t) => {
  const asked = request({ targets: [foreign()], events: [event()] });
  t.deepEqual(
    nearMisses(asked, neededClasses(asked), OWN.rules).map(({ code, text }) => `${code}: ${text}`),
    ['no-rule: no rule allows anything to uid 1000 (groups 1000)', 'subject: rule "own" names other subjects'],
  );
});
