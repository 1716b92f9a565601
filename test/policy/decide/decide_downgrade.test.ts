import test from 'ava';
import { decideDowngrade } from '#dist/policy/decide/decide_downgrade.js';
import { decide } from '#dist/policy/decide/decide.js';
import { lintPolicy } from '#dist/policy/check/lint.js';
import { builtIn } from '#dist/policy/load/load.js';
import { parsePolicy } from '#dist/policy/load/parse.js';
import type { Verdict } from '#dist/policy/types.js';
import { administrator, foreign, member, names, process, request, subject } from '../fixtures.js';

const rule = (name: string, more: string): string =>
  `[[rule]]\nname = "${name}"\nverdict = "allow"\nsubjects = { users = [1000] }\ntargets = { same_user = true }\n${more}\n`;
const policyOf = (text: string): ReturnType<typeof parsePolicy> => parsePolicy([{ file: 'policy.toml', text }], names);
const mine = process();
const theirs = foreign();
const processOf = (target: ReturnType<typeof process>): Parameters<typeof decideDowngrade>[0]['processes'][number] => {
  if (target.kind !== 'process') throw new Error('no process');
  return target.process;
};
const codes = (verdict: Verdict): string =>
  verdict.kind === 'deny'
    ? `deny ${verdict.reasons.map(({ code }) => code).join(',')}`
    : `${verdict.kind} ${verdict.rule}`;
const ask = (text: string, targets: readonly ReturnType<typeof process>[], who = subject()): string =>
  codes(decideDowngrade({ subject: who, processes: targets.map(processOf) }, policyOf(text)));

test('a rule without mode does not apply to downgrades', (t) => {
  t.is(ask(rule('events', 'classes = "all"'), [mine]), 'deny mode');
});

test('a rule of mode downgrade needs no classes, and allows no event', (t) => {
  const text = rule('down', 'mode = ["downgrade"]');
  t.is(ask(text, [mine]), 'allow down');
  t.is(decide(request(), policyOf(text)).kind, 'deny');
  t.deepEqual(lintPolicy(policyOf(text)), []);
});

test('a rule that also has another mode still needs its classes', (t) => {
  t.throws(() => policyOf(rule('both', 'mode = ["downgrade", "counting"]')), { message: /classes/ });
});

test('every process has to be covered by the rule', (t) => {
  t.is(ask(rule('down', 'mode = ["downgrade"]'), [mine, theirs]), 'deny uid');
});

test('a process with capabilities that the subject lacks is not of the same user', (t) => {
  const privileged = process({ permitted: 1n << 38n });
  t.is(ask(rule('down', 'mode = ["downgrade"]'), [privileged]), 'deny capabilities');
  t.is(
    ask(rule('down', 'mode = ["downgrade"]').replace('same_user = true', 'users = [1000]'), [privileged]),
    'allow down',
  );
});

test('a deny rule that stands first wins, and one caught process is enough', (t) => {
  const deny = rule('never', 'mode = ["downgrade"]')
    .replace('"allow"', '"deny"')
    .replace('same_user = true', 'users = [0]');
  const any = rule('down', 'mode = ["downgrade"]').replace('same_user = true', 'any_user = true');
  t.is(ask(deny + any, [mine]), 'allow down');
  t.is(ask(deny + any, [mine, process({ uids: [0, 0, 0] })]), 'deny denied');
});

test('a rule with verdict ask gives the verdict ask', (t) => {
  t.is(ask(rule('down', 'mode = ["downgrade"]').replace('"allow"', '"ask"'), [mine]), 'ask down');
});

test('a request without a rule for its subject, or without a process, is denied', (t) => {
  t.is(ask(rule('down', 'mode = ["downgrade"]').replace('1000', '1234'), [mine]), 'deny no-rule');
  t.is(ask(rule('down', 'mode = ["downgrade"]'), []), 'deny target');
});

test('by default administrators may downgrade, and any other user is asked even for their own processes', (t) => {
  const policy = parsePolicy([builtIn()], names);
  const processes = [processOf(mine)];
  t.is(codes(decideDowngrade({ subject: administrator, processes }, policy)), 'allow administrator');
  t.is(codes(decideDowngrade({ subject: member, processes }, policy)), 'ask ask');
  t.is(codes(decideDowngrade({ subject: subject(), processes }, policy)), 'ask ask');
});

test('a subject under a subordinate uid is caught by a rule that denies a group, and the reason says why', (t) => {
  const deny = rule('never', 'mode = ["downgrade"]')
    .replace('"allow"', '"deny"')
    .replace('users = [1000]', 'groups = [991]');
  const policy = policyOf(deny + rule('down', 'mode = ["downgrade"]'));
  t.is(decideDowngrade({ subject: subject(), processes: [processOf(mine)] }, policy).kind, 'allow');
  const verdict = decideDowngrade({ subject: subject({ mayBeMany: true }), processes: [processOf(mine)] }, policy);
  t.is(codes(verdict), 'deny denied');
  t.regex(JSON.stringify(verdict), /the rule may name the caller, because its uid is a subordinate one/);
});
