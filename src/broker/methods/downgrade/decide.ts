/** What a Downgrade asks for, and what the policy says to it now. */
import { brokerError } from '../../../model/errors/error_table.js';
import { decideDowngrade } from '../../../policy/decide/decide_downgrade.js';
import type { AuthorizationAction } from '../../../policy/decide/authorization.js';
import type { DowngradeParameters } from '../../../interfaces/broker_types.js';
import type { FdBag } from '../../../varlink/service.js';
import { authorize, unauthorized } from '../request/authorization.js';
import type { Broker } from '../../broker.js';
import type { ClientConnection } from '../../processes/client_connection.js';
import { denial, denialTexts } from '../request/denial.js';
import { targetsText } from '../request/dialog_text.js';
import { orderFacts, orderText, parseOrder, requireTracer, type DowngradeOrder } from './order.js';
import { callerFacts, subjectOf, type Caller } from '../request/identify_caller.js';
import {
  pinTargets,
  processFacts,
  recheckTargets,
  releaseTargets,
  type PinnedTarget,
  type ProcessTarget,
} from '../../processes/targets.js';
import type { Passed, WantedDowngrade } from '../request/wanted.js';

/** @throws BrokerError; nothing is held then */
export async function vetDowngrade(
  broker: Broker,
  caller: Caller,
  parameters: DowngradeParameters,
  fds: FdBag,
): Promise<WantedDowngrade> {
  const tracer = requireTracer(broker.dependencies.tracer);
  const wanted = parameters.target.pidfd === undefined ? 0 : 1;
  if (fds.remaining !== wanted)
    throw brokerError('UnexpectedFds', 'unused', `${fds.remaining} fds came along; the target mentions ${wanted}`);
  const order = parseOrder(parameters, subjectOf(caller));
  const pinned = await pinTargets([parameters.target], fds, caller);
  try {
    return { tracer, order, target: onlyProcess(pinned), children: parameters.children === true };
  } catch (error) {
    releaseTargets(pinned);
    throw error;
  }
}

/** The whole process that the targets of a request must be. @throws BrokerError target-kind */
export function onlyProcess(targets: readonly PinnedTarget[]): ProcessTarget {
  const [target] = targets;
  if (target?.kind !== 'process' || target.tid !== null || targets.length !== 1)
    throw brokerError('DowngradeRefused', 'target-kind', 'a downgrade is of one process, with all its threads');
  return target;
}

/** Asks the policy; a denial is recorded and thrown. An ask is the caller's to settle. */
export function decideDowngradeOf(
  broker: Broker,
  caller: Caller,
  targets: readonly ProcessTarget[],
  order: DowngradeOrder,
): Passed {
  const subject = subjectOf(caller);
  const verdict = decideDowngrade({ subject, processes: targets.map(({ process }) => process) }, broker.policy);
  if (verdict.kind !== 'deny') return verdict;
  broker.record(subject, {
    action: 'downgrade',
    verdict: 'deny',
    targets: targets.map(processFacts),
    ...orderFacts(order),
    ...callerFacts(caller),
    rule: verdict.rule,
    reasons: denialTexts(verdict),
  });
  throw denial(verdict);
}

/**
 * Asks polkit where the policy says so.
 * @returns what was needed and given
 * @throws BrokerError for a no, which is recorded
 */
export async function approveDowngrade(
  broker: Broker,
  client: ClientConnection,
  caller: Caller,
  { target, order, children }: WantedDowngrade,
  interactive: boolean,
): Promise<readonly AuthorizationAction[]> {
  const verdict = decideDowngradeOf(broker, caller, [target], order);
  if (verdict.kind === 'allow') return [];
  const authorized = ['downgrade'] as const;
  await authorize(broker, client, {
    caller,
    actions: authorized,
    rule: verdict.rule,
    target: `${children ? 'all descendants and ' : ''}${targetsText([target])}`,
    what: orderText(order),
    facts: { targets: [processFacts(target)], ...orderFacts(order) },
    interactive,
    reasons: verdict.reasons,
  });
  await recheckTargets([target], caller.work);
  return authorized;
}

/** @returns what lets it pass, by itself or with what was authorized. @throws BrokerError for a no, which is recorded */
export function allowDowngrade(
  broker: Broker,
  caller: Caller,
  targets: readonly ProcessTarget[],
  order: DowngradeOrder,
  authorized: readonly AuthorizationAction[],
): Passed {
  const verdict = decideDowngradeOf(broker, caller, targets, order);
  if (verdict.kind === 'allow' || authorized.includes('downgrade')) return verdict;
  const text = `rule "${verdict.rule}" asks downgrade for these processes, which nobody was asked`;
  broker.record(subjectOf(caller), {
    action: 'downgrade',
    verdict: 'deny',
    targets: targets.map(processFacts),
    ...orderFacts(order),
    ...callerFacts(caller),
    rule: verdict.rule,
    reasons: [text],
  });
  throw unauthorized('policy-changed', text, verdict.reasons);
}
