/** ListGrants, WatchGrants, Revoke and Mapped. */
import { brokerError } from '../../model/errors/error_table.js';
import { isAdministrator } from '../../model/identity/subject.js';
import type * as Types from '../../interfaces/broker_types.js';
import { ValidationError } from '../../varlink/validate.js';
import { authorize } from './request/authorization.js';
import { isGrantId, MAX_WATCHES, type Grant, type GrantChange, type Grants } from '../grants/grants.js';
import type { Client, Reply, RequestContext, WorkCall } from './request/context.js';
import { callerFacts, identifyCaller, subjectOf, type Caller } from './request/identify_caller.js';

export interface GrantsContext extends RequestContext {
  readonly grants: Pick<Grants, 'end' | 'find' | 'list' | 'watch'>;
}

export async function listGrants(context: GrantsContext, call: WorkCall, reply: Reply): Promise<void> {
  const parameters = call.parameters as unknown as Types.ListGrantsParameters;
  const { all = false, allowInteractive = false } = parameters;
  const caller = identifyCaller(context, call, parameters.sender);
  requireNoMoreFds(call);
  const subject = subjectOf(caller);
  if (all && !isAdministrator(subject)) {
    if (!allowInteractive) throw notAdministrator('only an administrator can list the grants of all users');
    await administer(context, call.context, caller, "everyone's grants", 'list');
  }
  reply.reply({ grants: context.grants.list(all ? 'all' : subject.uid).map(grantJson) });
}

/** Runs until the client disconnects. A client that reads too slowly is disconnected by the limit of its connection. */
export async function watchGrants(
  context: Pick<GrantsContext, 'grants' | 'isFrontEnd'>,
  call: WorkCall,
  reply: Reply,
): Promise<void> {
  const { subject } = call.context;
  const { all = false } = call.parameters as unknown as Types.WatchGrantsParameters;
  if (!call.more) throw new ValidationError('more', 'is required: the replies do not end');
  if (all && !isAdministrator(subject) && !context.isFrontEnd(subject))
    throw notAdministrator('only an administrator can watch the grants of all users');
  const gone = call.context.watchHangup();
  const unwatch = context.grants.watch(subject.uid, (grant, change, reason) => {
    if (all || grant.parts.subject.uid === subject.uid) reply.continue(changeJson(grant, change, reason));
  });
  if (unwatch === null)
    throw brokerError(
      'QuotaExceeded',
      'watches',
      `uid ${subject.uid} already watches grants ${MAX_WATCHES} times, which is the limit`,
    );
  try {
    const present = context.grants.list(all ? 'all' : subject.uid);
    for (const grant of present) reply.continue({ change: 'present', grant: grantJson(grant) });
    if (present.length === 0) reply.continue({ change: 'present' });
    if (!gone.aborted)
      await new Promise((resolve) => {
        gone.addEventListener('abort', resolve, { once: true });
      });
  } finally {
    unwatch();
  }
  // The client has disconnected, but every call has a last reply.
  reply.reply({ change: 'present' });
}

export async function revoke(context: GrantsContext, call: WorkCall, reply: Reply): Promise<void> {
  const parameters = call.parameters as unknown as Types.RevokeParameters;
  const { grant: id, allowInteractive = false } = parameters;
  const caller = identifyCaller(context, call, parameters.sender);
  requireNoMoreFds(call);
  // The dialog shows the id: a caller must not choose its text.
  if (!isGrantId(id)) throw noSuchGrant();
  const subject = subjectOf(caller);
  let administrator = isAdministrator(subject);
  // polkit is asked whether or not the grant exists: the caller does not learn that it does, or whose it is.
  if (!administrator && allowInteractive && context.grants.find(id, subject.uid, false) === null) {
    await administer(context, call.context, caller, `grant ${id}`, 'revoke');
    administrator = true;
  }
  const grant = context.grants.find(id, subject.uid, administrator);
  if (grant === null) throw noSuchGrant();
  if (grant.parts.subject.uid !== subject.uid)
    context.recordIfPossible(subject, {
      action: 'revoke',
      verdict: 'allow',
      grant: grant.id,
      of: grant.parts.subject.uid,
      ...callerFacts(caller),
    });
  const { fds, disabled, pending } = await context.grants.end(grant, 'revoked');
  reply.reply({ fds, disabled, kept: keptText(fds, pending) });
}

/** Explains what a revoke does not undo. */
function keptText(fds: number, pending: number): string {
  const locked =
    pending === 0
      ? ''
      : `${pending} events are not disabled yet, because a process holds a lock that the kernel needs for it. They will be disabled when the lock is released. `;
  return `${locked}The holder keeps the ${fds} fds it was given. It can read their counts and the rings it has mapped, and enable the events again. They end only when the fds are closed or the target ends.`;
}

export function mapped(context: Pick<GrantsContext, 'grants'>, call: WorkCall, reply: Reply): void {
  const { subject } = call.context;
  const { grant: id } = call.parameters as unknown as Types.MappedParameters;
  const grant = context.grants.find(id, subject.uid, isAdministrator(subject));
  if (grant === null) throw noSuchGrant();
  void grant.releaseRings();
  reply.reply({});
}

/** @throws BrokerError when the caller is not authorized */
async function administer(
  context: RequestContext,
  client: Client,
  caller: Caller,
  target: string,
  what: string,
): Promise<void> {
  await authorize(context, client, {
    caller,
    actions: ['administer'],
    rule: null,
    target,
    what,
    facts: { what, of: target.slice(0, 64) },
    interactive: true,
    reasons: [],
  });
}

function requireNoMoreFds({ method, fds }: WorkCall): void {
  if (fds.remaining > 0)
    throw brokerError('UnexpectedFds', 'method', `${method} takes no fds; the call has ${fds.remaining}`);
}

function notAdministrator(message: string): Error {
  return brokerError('PolicyDenied', 'not-administrator', message, { details: { reasons: [] } });
}

function noSuchGrant(): Error {
  return brokerError('NoSuchGrant', 'unknown', 'you have no such grant');
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
