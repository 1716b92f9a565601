/** Decides about a vetted Open: asks the policy, and polkit where a rule asks. */
import {
  actionsForEvents,
  AUTHORIZATION_ACTIONS,
  type AuthorizationAction,
} from '../../../policy/decide/authorization.js';
import { decide } from '../../../policy/decide/decide.js';
import type { Reason, Verdict } from '../../../policy/types.js';
import { recheckTargets } from '../../processes/targets.js';
import { decideProcesses } from '../downgrade/decide.js';
import { orderText } from '../downgrade/order.js';
import { authorize, policyChanged } from '../request/authorization.js';
import type { Client, RequestContext } from '../request/context.js';
import { denial, denialTexts, type Permitted } from '../request/denial.js';
import { eventsText, targetsText } from '../request/request_text.js';
import { callerFacts, subjectOf, type Caller } from '../request/identify_caller.js';
import { auditFacts, type VettedOpen } from './request.js';

type PolicyContext = Pick<RequestContext, 'policy' | 'record'>;

/** A permission to open. Actions that were authorized count as allowed. */
export interface Approval {
  readonly verdict: Permitted;
  /** Actions of polkit that were needed and given. */
  readonly authorized: readonly AuthorizationAction[];
}

/**
 * Asks the policy, then polkit where a rule asks, then the policy again, which can be another one by then.
 * @throws BrokerError for a denial, which is recorded
 */
export async function approve(
  context: RequestContext,
  client: Client,
  caller: Caller,
  vetted: VettedOpen,
  interactive: boolean,
): Promise<Approval> {
  const first = decideOpen(context, caller, vetted, []);
  if (first.missing.length === 0) return { verdict: first.verdict, authorized: [] };
  const downgrade = vetted.downgrade === null ? '' : `${orderText(vetted.downgrade.order)}; `;
  await authorize(context, client, {
    caller,
    actions: first.missing,
    rule: first.verdict.rule,
    target: targetsText(vetted.targets),
    what: `${downgrade}${eventsText(vetted.specs)}`,
    facts: auditFacts(vetted),
    interactive,
    reasons: first.reasons,
  });
  await recheckTargets(vetted.targets, caller.work);
  return caller.work.timed(() => approveAgain(context, caller, vetted, first.missing));
}

/**
 * Asks the policy again. Actions that were authorized before count, also for another rule.
 * @throws BrokerError for a denial, which is recorded
 */
export function approveAgain(
  context: PolicyContext,
  caller: Caller,
  vetted: VettedOpen,
  authorized: readonly AuthorizationAction[],
): Approval {
  const { verdict, missing, needed, reasons } = decideOpen(context, caller, vetted, authorized);
  if (missing.length === 0) return { verdict, authorized: needed };
  const error = policyChanged(verdict.rule, missing, reasons);
  recordDenial(context, caller, vetted, verdict.rule, [error.message]);
  throw error;
}

interface OpenDecision {
  readonly verdict: Permitted;
  /** Actions that the policy requires, and those of them that are not authorized. */
  readonly needed: readonly AuthorizationAction[];
  readonly missing: readonly AuthorizationAction[];
  readonly reasons: readonly Reason[];
}

function decideOpen(
  context: PolicyContext,
  caller: Caller,
  vetted: VettedOpen,
  authorized: readonly AuthorizationAction[],
): OpenDecision {
  const { policy: request, downgrade } = vetted;
  const verdict = decide(request, context.policy);
  if (verdict.kind === 'deny') {
    recordDenial(context, caller, vetted, verdict.rule, denialTexts(verdict));
    throw denial(verdict);
  }
  const actions = new Set(verdict.kind === 'ask' ? actionsForEvents(verdict.classes, request.events) : []);
  const reasons = verdict.kind === 'ask' ? [...verdict.reasons] : [];
  if (downgrade !== null) {
    const decided = decideProcesses(context, caller, [downgrade.target], downgrade.order);
    if (decided.kind === 'ask') {
      actions.add('downgrade');
      reasons.push(...decided.reasons);
    }
  }
  const needed = AUTHORIZATION_ACTIONS.filter((action) => actions.has(action));
  return { verdict, needed, missing: needed.filter((action) => !authorized.includes(action)), reasons };
}

function recordDenial(
  context: PolicyContext,
  caller: Caller,
  vetted: VettedOpen,
  rule: Verdict['rule'],
  reasons: readonly string[],
): void {
  const facts = { ...auditFacts(vetted), ...callerFacts(caller), rule, reasons };
  context.record(subjectOf(caller), { action: 'open', verdict: 'deny', ...facts });
}
