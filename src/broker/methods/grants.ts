/** ListGrants, WatchGrants, Revoke and Mapped: what there is, and its end. */
import { brokerError } from '../../model/errors/error_table.js';
import { isAdministrator } from '../../model/identity/subject.js';
import type * as Types from '../../interfaces/broker_types.js';
import type { Call, Replier } from '../../varlink/service.js';
import { ValidationError } from '../../varlink/validate.js';
import { authorize } from './request/authorization.js';
import type { Broker } from '../broker.js';
import type { ClientConnection } from '../processes/client_connection.js';
import { isGrantId, MAX_WATCHES, type Grant, type GrantChange } from '../grants/grants.js';
import { callerFacts, subjectOf, vetCaller, type Caller, type WorkCall } from './request/identify_caller.js';

export async function listGrants(broker: Broker, call: WorkCall, reply: Replier): Promise<void> {
  const parameters = call.parameters as unknown as Types.ListGrantsParameters;
  const { all = false, allowInteractive = false } = parameters;
  const caller = vetCaller(broker, call, parameters.sender);
  requireNoMoreFds(call);
  const subject = subjectOf(caller);
  if (all && !isAdministrator(subject)) {
    if (!allowInteractive) throw notAdministrator("only an administrator lists everyone's grants");
    await administer(broker, call.context, caller, "everyone's grants", 'list');
  }
  reply.reply({ grants: broker.grants.list(all ? 'all' : subject.uid).map(grantJson) });
}

/** Goes on until the client hangs up; whoever reads too slowly is cut off by the connection's own limit. */
export async function watchGrants(broker: Broker, call: Call<ClientConnection>, reply: Replier): Promise<void> {
  const { subject } = call.context;
  const { all = false } = call.parameters as unknown as Types.WatchGrantsParameters;
  if (!call.more) throw new ValidationError('more', 'is needed: the answers do not end');
  if (all && !isAdministrator(subject) && !broker.isFrontEnd(subject))
    throw notAdministrator("only an administrator watches everyone's grants");
  const gone = call.context.watchHangup();
  const unwatch = broker.grants.watch(subject.uid, (grant, change, reason) => {
    if (all || grant.parts.subject.uid === subject.uid) reply.continue(changeJson(grant, change, reason));
  });
  if (unwatch === null)
    throw brokerError('QuotaExceeded', 'watches', `uid ${subject.uid} watches grants ${MAX_WATCHES} times already`);
  try {
    const present = broker.grants.list(all ? 'all' : subject.uid);
    for (const grant of present) reply.continue({ change: 'present', grant: grantJson(grant) });
    if (present.length === 0) reply.continue({ change: 'present' });
    if (!gone.aborted)
      await new Promise((resolve) => {
        gone.addEventListener('abort', resolve, { once: true });
      });
  } finally {
    unwatch();
  }
  // Nobody reads it; every call has a last answer.
  reply.reply({ change: 'present' });
}

export async function revoke(broker: Broker, call: WorkCall, reply: Replier): Promise<void> {
  const parameters = call.parameters as unknown as Types.RevokeParameters;
  const { grant: id, allowInteractive = false } = parameters;
  const caller = vetCaller(broker, call, parameters.sender);
  requireNoMoreFds(call);
  // It goes into a dialog, where a caller must not have words of his own.
  if (!isGrantId(id)) throw noSuchGrant();
  const subject = subjectOf(caller);
  let administrator = isAdministrator(subject);
  // Asked whether or not there is such a grant: whose it is, and that it is, stays untold.
  if (!administrator && allowInteractive && broker.grants.find(id, subject.uid, false) === null) {
    await administer(broker, call.context, caller, `grant ${id}`, 'revoke');
    administrator = true;
  }
  const grant = broker.grants.find(id, subject.uid, administrator);
  if (grant === null) throw noSuchGrant();
  if (grant.parts.subject.uid !== subject.uid)
    broker.recordIfPossible(subject, {
      action: 'revoke',
      verdict: 'allow',
      grant: grant.id,
      of: grant.parts.subject.uid,
      ...callerFacts(caller),
    });
  const { fds, disabled, pending } = await broker.grants.end(grant, 'revoked');
  const held =
    pending === 0
      ? ''
      : `${pending} events are not disabled yet, because a process holds a lock that the kernel needs for it; they will be when it is released. `;
  reply.reply({
    fds,
    disabled,
    kept: `${held}The holder keeps the ${fds} fds it was given: it can read what they counted and rings it has mapped, and enable them again. Only closing them, or the end of the target, ends them for good.`,
  });
}

export function mapped(broker: Broker, call: Call<ClientConnection>, reply: Replier): void {
  const { subject } = call.context;
  const { grant: id } = call.parameters as unknown as Types.MappedParameters;
  const grant = broker.grants.find(id, subject.uid, isAdministrator(subject));
  if (grant === null) throw noSuchGrant();
  void grant.releaseRings();
  reply.reply({});
}

/** @throws BrokerError when it is not authorized */
async function administer(
  broker: Broker,
  client: ClientConnection,
  caller: Caller,
  target: string,
  what: string,
): Promise<void> {
  const matter = { caller, actions: ['administer'] as const, rule: null, target, what, interactive: true, reasons: [] };
  await authorize(broker, client, { ...matter, facts: { what, of: target.slice(0, 64) } });
}

function requireNoMoreFds({ method, fds }: Call<ClientConnection>): void {
  if (fds.remaining > 0)
    throw brokerError('UnexpectedFds', 'method', `${method} takes no fds; ${fds.remaining} came along`);
}

function notAdministrator(message: string): Error {
  return brokerError('PolicyDenied', 'not-administrator', message, { details: { reasons: [] } });
}

function noSuchGrant(): Error {
  return brokerError('NoSuchGrant', 'unknown', 'there is no such grant of yours');
}

function changeJson(grant: Grant, change: GrantChange, reason: string | null): Types.WatchGrantsReply {
  return { change, grant: grantJson(grant), ...(reason === null ? {} : { reason }) };
}

function grantJson(grant: Grant): Types.Grant {
  const { subject, events, fds, ringBytes, rule, leaseSeconds } = grant.parts;
  return {
    id: grant.id,
    uid: subject.uid,
    pid: subject.pid,
    executable: subject.executable,
    targets: grant.targetNames,
    events,
    fds: fds.length,
    ringBytes,
    rule,
    ageSeconds: grant.ageSeconds,
    leaseSeconds,
  };
}
