/** Has polkit asked what a rule wants asked, and records question and answer. */
import { brokerError, type ErrorCode } from '../../../model/errors/error_table.js';
import type { BrokerError } from '../../../model/errors/errors.js';
import { actionId, type AuthorizationAction } from '../../../policy/decide/authorization.js';
import type { Reason } from '../../../policy/types.js';
import type { Answer } from '../../ipc/authorizer.js';
import type { Broker } from '../../broker.js';
import type { ClientConnection } from '../../processes/client_connection.js';
import { reasonJson } from './denial.js';
import { dialogText } from './dialog_text.js';
import { gone, isAlive } from '../../processes/peer.js';
import { callerFacts, subjectOf, type Caller } from './identify_caller.js';

/** What somebody has to agree to. */
export interface Matter {
  readonly caller: Caller;
  /** All of them must be authorized. */
  readonly actions: readonly AuthorizationAction[];
  /** Name of the rule that asks; null where it is no rule. */
  readonly rule: string | null;
  /** In words, for the dialog. */
  readonly target: string;
  readonly what: string;
  /** For the audit log. */
  readonly facts: Readonly<Record<string, unknown>>;
  /** Whether a dialog may come up. */
  readonly interactive: boolean;
  /** Why nothing allows it without asking: told when the answer is no. */
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

const WORDS: Readonly<Record<Answer['kind'], string>> = {
  authorized: 'it is authorized',
  refused: 'polkit refused',
  challenge: 'polkit would have to ask a human',
  dismissed: 'the question was dismissed',
  unavailable: 'nobody can be asked',
  'timed-out': 'nobody answered',
  'too-many': 'it was not asked',
  withdrawn: 'the caller has disconnected',
};

/**
 * Asks one action after the other. Time passes: whoever calls decides again afterwards.
 * @throws BrokerError when one of them is not authorized, or the caller has gone meanwhile
 */
export async function authorize(broker: Broker, client: ClientConnection, matter: Matter): Promise<void> {
  const { caller, actions, interactive } = matter;
  const subject = subjectOf(caller);
  const details = {
    target: dialogText(matter.target),
    events: dialogText(matter.what),
    caller: dialogText(`${subject.executable} (process ${subject.pid}, uid ${subject.uid})`),
  };
  const withdrawn = client.watchHangup();
  for (const action of actions) {
    const question = { subject, busName: caller.busName, action, details, interactive };
    const { kind, detail } = await broker.dependencies.authorizer.ask(question, withdrawn);
    const authorized = kind === 'authorized';
    broker.record(subject, {
      action: 'ask',
      verdict: authorized ? 'allow' : 'deny',
      ...matter.facts,
      ...(matter.rule === null ? {} : { rule: matter.rule }),
      ...callerFacts(caller),
      asked: actionId(action),
      interactive,
      answer: kind,
      ...(detail === '' ? {} : { detail }),
    });
    if (!authorized) throw refusal(broker, matter, action, { kind, detail });
  }
  // The question went by number and start time; whoever answered meant this very process.
  if (client.closed || !isAlive(subject)) throw gone(subject.pid);
}

function refusal(broker: Broker, matter: Matter, action: AuthorizationAction, { kind, detail }: Answer): BrokerError {
  if (kind === 'withdrawn' || kind === 'authorized')
    return broker.phase === 'stopping'
      ? brokerError('Unavailable', 'shutting-down', 'the broker is shutting down')
      : gone(subjectOf(matter.caller).pid);
  const why = detail === '' ? WORDS[kind] : `${WORDS[kind]} (${detail})`;
  const wants =
    matter.rule === null ? `${actionId(action)} is needed` : `rule "${matter.rule}" asks ${actionId(action)}`;
  return unauthorized(CODES[kind], `${wants}, and ${why}`, matter.reasons);
}

/** The error of a request that somebody would have to agree to. */
export function unauthorized(
  code: ErrorCode<'PolicyDenied'>,
  message: string,
  reasons: readonly Reason[],
): BrokerError {
  return brokerError('PolicyDenied', code, message, { details: { reasons: reasons.map(reasonJson) } });
}
