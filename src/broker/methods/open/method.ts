/** Open, and the same in two steps for callers on the system bus: PrepareOpen, Redeem. */
import { Rollback } from '../../../common/rollback.js';
import type { AuthorizationAction } from '../../../policy/decide/authorization.js';
import type { OpenParameters, PrepareOpenParameters, RedeemParameters } from '../../../interfaces/broker_types.js';
import { TICKET_SECONDS, type TicketPayload } from '../../grants/tickets.js';
import { recheckTargets, releaseTargets } from '../../processes/targets.js';
import type { Reply, WorkCall } from '../request/context.js';
import { decisionJson, unknownTicket } from '../request/denial.js';
import { callerFacts, identifyCaller, subjectOf } from '../request/identify_caller.js';
import type { OpenContext, PrepareOpenContext } from './context.js';
import { approve, approveAgain } from './decide.js';
import { grantEvents } from './grant.js';
import { auditFacts, vetOpen, vetRedeem, type VettedOpen } from './request.js';
import { sendSlots } from './reply.js';

export async function open(context: OpenContext, call: WorkCall, reply: Reply): Promise<void> {
  const { context: client, work } = call;
  const parameters = call.parameters as unknown as OpenParameters;
  const interactive = parameters.allowInteractive === true;
  const caller = identifyCaller(context, call, undefined, parameters.targets.length);
  const vetted = await vetOpen(context, caller, parameters, call);
  using pins = new Rollback(() => releaseTargets(vetted.targets));
  const approval = await work.timed(() => approve(context, client, caller, vetted, interactive));
  const granted = await work.timed(() => grantEvents(context, client, vetted, approval, call.more));
  pins.keep();
  work.timed(() => sendSlots(context.grants, granted, reply));
}

/** Decides for a caller on the bus, and keeps the vetted request under a ticket. `redeem` decides again, and its call takes the replies. */
export async function prepareOpen(context: PrepareOpenContext, call: WorkCall, reply: Reply): Promise<void> {
  const { context: client, work } = call;
  const parameters = call.parameters as unknown as PrepareOpenParameters;
  const interactive = parameters.allowInteractive === true;
  const caller = identifyCaller(context, call, parameters.sender, parameters.targets.length);
  const subject = subjectOf(caller);
  const vetted = await vetOpen(context, caller, parameters, { fds: call.fds, more: true });
  using pins = new Rollback(() => releaseTargets(vetted.targets));
  const { verdict, authorized } = await work.timed(() => approve(context, client, caller, vetted, interactive));
  context.requireTickets();
  context.record(subject, {
    action: 'prepare',
    verdict: 'allow',
    ...auditFacts(vetted),
    ...callerFacts(caller),
    rule: verdict.rule,
  });
  const decision = decisionJson(verdict, authorized);
  const ticket = context.tickets.add(subject.uid, new OpenTicket(vetted, authorized));
  pins.keep();
  reply.reply({ ticket, expiresSeconds: TICKET_SECONDS, decision });
}

/** The opener checks the client's own connection: what the front end vouched for does not count there. */
export async function redeem(context: PrepareOpenContext, call: WorkCall, reply: Reply): Promise<void> {
  const { context: client, work } = call;
  const { ticket } = call.parameters as unknown as RedeemParameters;
  const payload = context.tickets.find(ticket, client.subject.uid, isOpenTicket);
  if (payload === null) throw unknownTicket();
  // An error so far leaves the ticket valid: a user may have been asked to authorize it.
  const vetted = vetRedeem(client.subject, payload.vetted, call.more);
  const caller = identifyCaller(context, call, undefined, vetted.targets.length);
  context.tickets.redeem(ticket);
  using pins = new Rollback(payload.release);
  await recheckTargets(vetted.targets, work);
  const approval = work.timed(() => approveAgain(context, caller, vetted, payload.authorized));
  const granted = await work.timed(() => grantEvents(context, client, vetted, approval, call.more));
  pins.keep();
  work.timed(() => sendSlots(context.grants, granted, reply));
}

class OpenTicket implements TicketPayload {
  readonly vetted: VettedOpen;
  readonly authorized: readonly AuthorizationAction[];
  /** Pidfds and cgroup directories of the targets. */
  readonly fds: number;

  constructor(vetted: VettedOpen, authorized: readonly AuthorizationAction[]) {
    this.vetted = vetted;
    this.authorized = authorized;
    this.fds = vetted.targets.filter(({ fd }) => fd !== null).length;
  }

  readonly release = (): void => releaseTargets(this.vetted.targets);
}

function isOpenTicket(payload: TicketPayload): payload is OpenTicket {
  return payload instanceof OpenTicket;
}
