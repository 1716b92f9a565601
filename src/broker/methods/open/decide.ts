/** What an Open asks for, and what the policy says to it now. */
import {
  actionsForEvents,
  AUTHORIZATION_ACTIONS,
  type AuthorizationAction,
} from '../../../policy/decide/authorization.js';
import { decide } from '../../../policy/decide/decide.js';
import type { Reason } from '../../../policy/types.js';
import { eventName } from '../../../model/events/syntax/event_name.js';
import type { Subject } from '../../../model/identity/subject.js';
import type { OpenParameters } from '../../../interfaces/broker_types.js';
import type { FdBag } from '../../../varlink/service.js';
import type { AuditRecord } from '../../audit/audit_record.js';
import { authorize, unauthorized } from '../request/authorization.js';
import type { Broker } from '../../broker.js';
import type { ClientConnection } from '../../processes/client_connection.js';
import { denial, denialTexts } from '../request/denial.js';
import { eventsText, targetsText } from '../request/dialog_text.js';
import { orderText, parseOrder, requireTracer } from '../downgrade/order.js';
import { decideDowngradeOf, onlyProcess } from '../downgrade/decide.js';
import { vetRequest, type VettedRequest } from './request.js';
import { callerFacts, subjectOf, type Caller } from '../request/identify_caller.js';
import { processFacts, recheckTargets, releaseTargets, targetName } from '../../processes/targets.js';
import type { Approval, Downgrade, Passed, WantedOpen } from '../request/wanted.js';

/** @throws BrokerError; nothing is held then */
export async function vetOpen(
  broker: Broker,
  caller: Caller,
  parameters: OpenParameters,
  fds: FdBag,
): Promise<WantedOpen> {
  const request = await vetRequest(parameters, fds, caller, broker.dependencies);
  try {
    const downgrade = vetDowngrade(broker, caller, request, parameters);
    return { request, leaseSeconds: parameters.leaseSeconds, downgrade };
  } catch (error) {
    releaseTargets(request.targets);
    throw error;
  }
}

/** The same request with another process of the same user as its subject. */
export function wantedBy(subject: Subject, wanted: WantedOpen): WantedOpen {
  const { request } = wanted;
  return { ...wanted, request: { ...request, policy: { ...request.policy, subject } } };
}

/** @returns null when the request has none */
function vetDowngrade(
  broker: Broker,
  caller: Caller,
  request: VettedRequest,
  { downgrade: parameter }: OpenParameters,
): Downgrade | null {
  if (parameter === undefined) return null;
  const tracer = requireTracer(broker.dependencies.tracer);
  return { tracer, order: parseOrder(parameter, subjectOf(caller)), target: onlyProcess(request.targets) };
}

/**
 * Asks the policy, and polkit where the policy says so, and then the policy again, which may be another one by then.
 * @throws BrokerError for a no, which is recorded
 */
export async function approve(
  broker: Broker,
  client: ClientConnection,
  caller: Caller,
  wanted: WantedOpen,
  interactive: boolean,
): Promise<Approval> {
  const first = decideOpen(broker, caller, wanted, []);
  if (first.missing.length === 0) return { verdict: first.verdict, authorized: [] };
  const { request, downgrade } = wanted;
  const taken = downgrade === null ? '' : `${orderText(downgrade.order)}; `;
  await authorize(broker, client, {
    caller,
    actions: first.missing,
    rule: first.verdict.rule,
    target: targetsText(request.targets),
    what: `${taken}${eventsText(request.specs)}`,
    facts: auditFacts(request),
    interactive,
    reasons: first.reasons,
  });
  await recheckTargets(request.targets, caller.work);
  return caller.work.timed(() => approveAgain(broker, caller, wanted, first.missing));
}

/** What was authorized before holds for what the policy asks now. @throws BrokerError for a no, which is recorded */
export function approveAgain(
  broker: Broker,
  caller: Caller,
  wanted: WantedOpen,
  authorized: readonly AuthorizationAction[],
): Approval {
  const { verdict, missing, needed, reasons } = decideOpen(broker, caller, wanted, authorized);
  if (missing.length > 0) {
    const text = `rule "${verdict.rule}" asks ${missing.join(', ')} now, which nobody was asked`;
    broker.record(subjectOf(caller), {
      action: 'open',
      verdict: 'deny',
      ...auditFacts(wanted.request),
      ...callerFacts(caller),
      rule: verdict.rule,
      reasons: [text],
    });
    throw unauthorized('policy-changed', text, reasons);
  }
  return { verdict, authorized: needed };
}

interface Decided {
  readonly verdict: Passed;
  /** Actions that the policy wants authorized, and of these the ones that are not. */
  readonly needed: readonly AuthorizationAction[];
  readonly missing: readonly AuthorizationAction[];
  readonly reasons: readonly Reason[];
}

function decideOpen(
  broker: Broker,
  caller: Caller,
  { request, downgrade }: WantedOpen,
  authorized: readonly AuthorizationAction[],
): Decided {
  const subject = subjectOf(caller);
  const verdict = decide(request.policy, broker.policy);
  if (verdict.kind === 'deny') {
    const facts = { ...auditFacts(request), ...callerFacts(caller), rule: verdict.rule };
    broker.record(subject, { action: 'open', verdict: 'deny', ...facts, reasons: denialTexts(verdict) });
    throw denial(verdict);
  }
  const actions = new Set(verdict.kind === 'ask' ? actionsForEvents(verdict.classes, request.specs) : []);
  const reasons = verdict.kind === 'ask' ? [...verdict.reasons] : [];
  if (downgrade !== null) {
    const decided = decideDowngradeOf(broker, caller, [downgrade.target], downgrade.order);
    if (decided.kind === 'ask') {
      actions.add('downgrade');
      reasons.push(...decided.reasons);
    }
  }
  const needed = AUTHORIZATION_ACTIONS.filter((action) => actions.has(action));
  return { verdict, needed, missing: needed.filter((action) => !authorized.includes(action)), reasons };
}

export function auditFacts(request: VettedRequest): Omit<AuditRecord, 'action' | 'verdict'> {
  return {
    targets: request.targets.map((target) =>
      target.kind === 'process' ? processFacts(target) : { name: targetName(target) },
    ),
    events: request.specs.map(eventName),
    ringBytes: request.policy.ringBytes,
  };
}
