import { brokerError, type ErrorCode } from '../../../model/errors/error_table.js';
import type { BrokerError } from '../../../model/errors/errors.js';
import { actionId, type AuthorizationAction } from '../../../policy/decide/authorization.js';
import type { Reason, Verdict } from '../../../policy/types.js';
import type { Decision } from '../../../interfaces/broker_types.js';

type Denied = Verdict & { readonly kind: 'deny' };
/** A verdict that permits a request, by itself or with authorization. */
export type Permitted = Verdict & { readonly kind: 'allow' | 'ask' };

/** The error for a denial. The first reason gives code and message; all of them are in its details. */
export function denial(verdict: Denied): BrokerError {
  const [first] = verdict.reasons;
  const details = { reasons: verdict.reasons.map(reasonJson) };
  const remedy = first?.remedy === undefined ? {} : { remedy: first.remedy };
  if (first?.code === 'ceiling') return brokerError('CeilingExceeded', first.class, first.text, remedy);
  const code: ErrorCode<'PolicyDenied'> = first?.code ?? 'no-rule';
  return brokerError('PolicyDenied', code, first?.text ?? 'no rule allows it', { details, ...remedy });
}

/** Texts of all reasons, for the audit log. */
export function denialTexts(verdict: Denied): string[] {
  return verdict.reasons.map((reason) => reason.text);
}

/** @param actions polkit's actions that need authorization when the verdict is ask */
export function decisionJson(verdict: Verdict, actions: readonly AuthorizationAction[]): Decision {
  const { classes } = verdict;
  const reasons = verdict.kind === 'allow' ? [] : verdict.reasons.map(reasonJson);
  if (verdict.kind === 'deny')
    return {
      verdict: 'deny',
      ...(verdict.rule === undefined ? {} : { rule: verdict.rule }),
      ...(verdict.where === undefined ? {} : { where: verdict.where }),
      classes,
      reasons,
    };
  const { kind, rule, where, limits } = verdict;
  return {
    verdict: kind,
    rule,
    where,
    classes,
    reasons,
    limits,
    ...(kind === 'ask' ? { actions: actions.map(actionId) } : {}),
  };
}

export function reasonJson(reason: Reason): Decision['reasons'][number] {
  const rule = 'rule' in reason ? reason.rule : undefined;
  return { code: reason.code, text: reason.text, ...(rule === undefined ? {} : { rule }) };
}

/** The same error for every invalid ticket, so that a caller learns nothing about tickets of other users. */
export function unknownTicket(): BrokerError {
  return brokerError('NoSuchGrant', 'ticket', 'you have no such ticket');
}
