import { brokerError, type ErrorCode } from '../model/error_table.js';
import type { BrokerError } from '../model/errors.js';
import type { Verdict } from '../policy/types.js';
import type { Decision } from '../varlink/broker_types.js';

/** The error for a verdict that is not allow: the first reason speaks, all of them travel along. */
export function denial(verdict: Verdict): BrokerError {
  if (verdict.kind !== 'deny')
    return brokerError(
      'PolicyDenied',
      'authorization-needed',
      `rule ${verdict.rule} (${verdict.where}) wants a human to be asked`,
      { details: { reasons: [] } },
    );
  const [first] = verdict.reasons;
  const details = { reasons: verdict.reasons.map(reasonJson) };
  if (first?.code === 'ceiling') return brokerError('CeilingExceeded', first.class, first.text);
  const code: ErrorCode<'PolicyDenied'> = first?.code ?? 'no-rule';
  return brokerError('PolicyDenied', code, first?.text ?? 'no rule allows it', { details });
}

/** For the audit log. */
export function denialTexts(verdict: Verdict): string[] {
  return verdict.kind === 'deny'
    ? verdict.reasons.map((reason) => reason.text)
    : ['the rule wants a human to be asked'];
}

export function decisionJson(verdict: Verdict): Decision {
  const { classes } = verdict;
  if (verdict.kind === 'deny')
    return {
      verdict: 'deny',
      ...(verdict.rule === undefined ? {} : { rule: verdict.rule }),
      ...(verdict.where === undefined ? {} : { where: verdict.where }),
      classes,
      reasons: verdict.reasons.map(reasonJson),
    };
  return {
    verdict: verdict.kind,
    rule: verdict.rule,
    where: verdict.where,
    classes,
    reasons: [],
    limits: verdict.limits,
  };
}

function reasonJson(reason: Extract<Verdict, { kind: 'deny' }>['reasons'][number]): Decision['reasons'][number] {
  const rule = 'rule' in reason ? reason.rule : undefined;
  return { code: reason.code, text: reason.text, ...(rule === undefined ? {} : { rule }) };
}
