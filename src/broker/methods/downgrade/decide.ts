/** Vets a Downgrade, asks the policy, and has polkit authorize the request where a rule asks. */
import { Rollback } from '../../../common/rollback.js';
import { brokerError } from '../../../model/errors/error_table.js';
import type { AuthorizationAction } from '../../../policy/decide/authorization.js';
import { decideDowngrade } from '../../../policy/decide/decide_downgrade.js';
import type { Verdict } from '../../../policy/types.js';
import type { DowngradeParameters } from '../../../interfaces/broker_types.js';
import type { FdBag } from '../../../varlink/service.js';
import {
  onlyProcess,
  pinTargets,
  processFacts,
  recheckTargets,
  releaseTargets,
  type ProcessTarget,
} from '../../processes/targets.js';
import { authorize, policyChanged } from '../request/authorization.js';
import type { Client, RequestContext } from '../request/context.js';
import { denial, denialTexts, type Permitted } from '../request/denial.js';
import { targetsText } from '../request/request_text.js';
import { callerFacts, subjectOf, type Caller } from '../request/identify_caller.js';
import type { DowngradeContext } from './context.js';
import { orderFacts, orderText, parseOrder, type DowngradeOrder } from './order.js';
import { requireTracer, type ProcessDowngrade } from './process.js';

type PolicyContext = Pick<RequestContext, 'policy' | 'record'>;

/** A vetted Downgrade. The target is pinned until it is released. */
export interface VettedDowngrade extends ProcessDowngrade {
  /** The descendants of the target are downgraded also. */
  readonly children: boolean;
}

/** @throws BrokerError; no target is pinned then */
export async function vetDowngrade(
  context: DowngradeContext,
  caller: Caller,
  parameters: DowngradeParameters,
  fds: FdBag,
): Promise<VettedDowngrade> {
  const tracer = requireTracer(context.dependencies.tracer);
  const expected = parameters.target.pidfd === undefined ? 0 : 1;
  if (fds.remaining !== expected)
    throw brokerError('UnexpectedFds', 'unused', `the call has ${fds.remaining} fds; its target refers to ${expected}`);
  const order = parseOrder(parameters, subjectOf(caller));
  const pinned = await pinTargets([parameters.target], fds, caller);
  using pins = new Rollback(() => releaseTargets(pinned));
  const target = onlyProcess(pinned);
  pins.keep();
  return { tracer, order, target, children: parameters.children === true };
}

/**
 * Asks the policy. A denial is recorded and thrown.
 * @returns the verdict of a rule that allows, or that asks for authorization
 */
export function decideProcesses(
  context: PolicyContext,
  caller: Caller,
  targets: readonly ProcessTarget[],
  order: DowngradeOrder,
): Permitted {
  const processes = targets.map(({ process }) => process);
  const verdict = decideDowngrade({ subject: subjectOf(caller), processes }, context.policy);
  if (verdict.kind !== 'deny') return verdict;
  recordDenial(context, caller, targets, order, verdict.rule, denialTexts(verdict));
  throw denial(verdict);
}

/**
 * Asks the policy, and polkit where the policy says so.
 * @returns the actions that were needed and authorized
 * @throws BrokerError for a denial, which is recorded
 */
export async function approveDowngrade(
  context: DowngradeContext,
  client: Client,
  caller: Caller,
  { target, order, children }: VettedDowngrade,
  interactive: boolean,
): Promise<readonly AuthorizationAction[]> {
  const verdict = decideProcesses(context, caller, [target], order);
  if (verdict.kind === 'allow') return [];
  const actions = ['downgrade'] as const;
  await authorize(context, client, {
    caller,
    actions,
    rule: verdict.rule,
    target: `${children ? 'all descendants and ' : ''}${targetsText([target])}`,
    what: orderText(order),
    facts: { targets: [processFacts(target)], ...orderFacts(order) },
    interactive,
    reasons: verdict.reasons,
  });
  await recheckTargets([target], caller.work);
  return actions;
}

/**
 * Asks the policy again, which can be another one by now.
 * @returns the verdict that permits the downgrade, by itself or with the actions that were authorized
 * @throws BrokerError for a denial, which is recorded
 */
export function approveDowngradeAgain(
  context: PolicyContext,
  caller: Caller,
  targets: readonly ProcessTarget[],
  order: DowngradeOrder,
  authorized: readonly AuthorizationAction[],
): Permitted {
  const verdict = decideProcesses(context, caller, targets, order);
  if (verdict.kind === 'allow' || authorized.includes('downgrade')) return verdict;
  const error = policyChanged(verdict.rule, ['downgrade'], verdict.reasons);
  recordDenial(context, caller, targets, order, verdict.rule, [error.message]);
  throw error;
}

function recordDenial(
  context: PolicyContext,
  caller: Caller,
  targets: readonly ProcessTarget[],
  order: DowngradeOrder,
  rule: Verdict['rule'],
  reasons: readonly string[],
): void {
  context.record(subjectOf(caller), {
    action: 'downgrade',
    verdict: 'deny',
    targets: targets.map(processFacts),
    ...orderFacts(order),
    ...callerFacts(caller),
    rule,
    reasons,
  });
}
