/** Has polkit authorize what a rule asks about, and records each answer. */
import { dialogText } from '../../../common/dialog_text.js';
import { brokerError, type ErrorCode } from '../../../model/errors/error_table.js';
import type { BrokerError } from '../../../model/errors/errors.js';
import { actionId, type AuthorizationAction } from '../../../policy/decide/authorization.js';
import type { Reason } from '../../../policy/types.js';
import type { Answer } from '../../ipc/authorizer.js';
import { gone, isAlive } from '../../processes/peer.js';
import type { Client, RequestContext } from './context.js';
import { reasonJson } from './denial.js';
import { callerFacts, subjectOf, type Caller } from './identify_caller.js';

type AuthorizationContext = Pick<RequestContext, 'record' | 'phase'> & {
  readonly dependencies: Pick<RequestContext['dependencies'], 'authorizer'>;
};

/** The actions that a request needs authorized, and the facts that a dialog and the audit log show. */
export interface AuthorizationRequest {
  readonly caller: Caller;
  /** All of them must be authorized. */
  readonly actions: readonly AuthorizationAction[];
  /** Name of the rule that asks; null where no rule does. */
  readonly rule: string | null;
  /** Texts for the dialog. */
  readonly target: string;
  readonly what: string;
  /** For the audit log. */
  readonly facts: Readonly<Record<string, unknown>>;
  /** True when polkit may show a dialog. */
  readonly interactive: boolean;
  /** Reasons why no rule allows the request without authorization: part of the error when authorization is refused. */
  readonly reasons: readonly Reason[];
}

const CODES: Readonly<Record<Exclude<Answer['kind'], 'authorized' | 'withdrawn'>, ErrorCode<'PolicyDenied'>>> = {
  refused: 'not-authorized',
  challenge: 'authorization-needed',
  dismissed: 'dismissed',
  unavailable: 'no-authorizer',
  'timed-out': 'authorization-timeout',
  'too-many': 'too-many-questions',
};

const TEXTS: Readonly<Record<Answer['kind'], string>> = {
  authorized: 'polkit authorized it',
  refused: 'polkit refused',
  challenge: 'polkit would have to show a dialog',
  dismissed: 'the dialog was dismissed',
  unavailable: 'polkit is not available',
  'timed-out': 'there was no answer in time',
  'too-many': 'too many authorization requests are already pending',
  withdrawn: 'the caller has disconnected',
};

/**
 * Asks for one action after the other. The policy can change while polkit is asked: decide again afterwards.
 * @throws BrokerError when an action is not authorized, or the caller has disconnected in the meantime
 */
export async function authorize(
  context: AuthorizationContext,
  client: Pick<Client, 'closed' | 'watchHangup'>,
  request: AuthorizationRequest,
): Promise<void> {
  const { caller, actions, interactive } = request;
  const subject = subjectOf(caller);
  const details = {
    target: dialogText(request.target),
    events: dialogText(request.what),
    caller: dialogText(`${subject.executable} (process ${subject.pid}, uid ${subject.uid})`),
  };
  const withdrawn = client.watchHangup();
  for (const action of actions) {
    const question = { subject, busName: caller.busName, action, details, interactive };
    const answer = await context.dependencies.authorizer.ask(question, withdrawn);
    recordAnswer(context, request, action, answer);
    if (answer.kind !== 'authorized') throw refusal(context, request, action, answer);
  }
  // polkit was asked about a pid and a start time. The answer is about this process only while it lives.
  if (client.closed || !isAlive(subject)) throw gone(subject.pid);
}

function recordAnswer(
  context: AuthorizationContext,
  { caller, facts, rule, interactive }: AuthorizationRequest,
  action: AuthorizationAction,
  { kind, detail }: Answer,
): void {
  context.record(subjectOf(caller), {
    action: 'ask',
    verdict: kind === 'authorized' ? 'allow' : 'deny',
    ...facts,
    ...(rule === null ? {} : { rule }),
    ...callerFacts(caller),
    asked: actionId(action),
    interactive,
    answer: kind,
    ...(detail === '' ? {} : { detail }),
  });
}

function refusal(
  context: AuthorizationContext,
  { caller, rule, reasons }: AuthorizationRequest,
  action: AuthorizationAction,
  { kind, detail }: Answer,
): BrokerError {
  if (kind === 'withdrawn' || kind === 'authorized')
    return context.phase === 'stopping'
      ? brokerError('Unavailable', 'shutting-down', 'the broker is shutting down')
      : gone(subjectOf(caller).pid);
  const why = detail === '' ? TEXTS[kind] : `${TEXTS[kind]} (${detail})`;
  const who = rule === null ? 'the request' : `rule "${rule}"`;
  return unauthorized(CODES[kind], `${who} requires authorization for ${actionId(action)}: ${why}`, reasons);
}

/** The error of a request that lacks an authorization. */
function unauthorized(code: ErrorCode<'PolicyDenied'>, message: string, reasons: readonly Reason[]): BrokerError {
  return brokerError('PolicyDenied', code, message, { details: { reasons: reasons.map(reasonJson) } });
}

/** The error of a request whose authorization does not cover what the policy asks about by now. */
export function policyChanged(
  rule: string,
  missing: readonly AuthorizationAction[],
  reasons: readonly Reason[],
): BrokerError {
  const actions = missing.map(actionId).join(', ');
  const text = `rule "${rule}" now also requires authorization for ${actions}, which was not requested`;
  return unauthorized('policy-changed', text, reasons);
}
