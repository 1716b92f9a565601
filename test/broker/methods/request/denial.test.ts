import test from 'ava';
import { decisionJson, denial, denialTexts } from '#dist/broker/methods/request/denial.js';
import type { Reason } from '#dist/policy/types.js';
import { policyOf } from '../fakes.js';

const target: Reason = { code: 'target', rule: 'own', text: 'rule "own" leaves out process 1' };
const subject: Reason = { code: 'subject', rule: 'ops', text: 'rule "ops" is for others' };
const deny = (...reasons: Reason[]) => ({ kind: 'deny', classes: [], reasons }) as const;

test('the first reason of a denial gives code and message, and the details hold all', (t) => {
  const error = denial(deny(target, subject));
  t.like(error, { error: 'PolicyDenied', code: 'target', message: target.text });
  t.deepEqual(error.details['reasons'], [target, subject]);
  t.deepEqual(denialTexts(deny(target, subject)), [target.text, subject.text]);
});

test('a class above the ceiling has an error of its own', (t) => {
  const error = denial(deny({ code: 'ceiling', class: 'kernel', text: 'no kernel' }));
  t.like(error, { error: 'CeilingExceeded', code: 'kernel', message: 'no kernel' });
});

test('a decision has the actions that polkit is asked about only where the verdict is ask', (t) => {
  const limits = policyOf('allow').rules[0]?.limits;
  if (limits === undefined) return t.fail();
  const permitted = { rule: 'own', where: 'policy.toml:1', limits, classes: ['user'] } as const;
  t.deepEqual(decisionJson({ kind: 'ask', ...permitted, reasons: [target] }, ['kernel']).actions, [
    'org.perfbroker.kernel',
  ]);
  t.is(decisionJson({ kind: 'allow', ...permitted }, ['kernel']).actions, undefined);
  t.like(decisionJson(deny(target), []), { verdict: 'deny', reasons: [target] });
});
