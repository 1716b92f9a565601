/** Open, and the same in two steps for callers on the system bus: PrepareOpen, Redeem. */
import type { Decision, OpenParameters, PrepareOpenParameters, RedeemParameters } from '../varlink/broker_types.js';
import type { Call, Replier } from '../varlink/service.js';
import type { Broker } from './broker.js';
import type { ClientConnection } from './client_connection.js';
import { decisionJson } from './denial.js';
import { grantEvents, requireRoom, sendSlots, type Granted } from './open_grant.js';
import { approve, approveAgain, auditFacts, vetOpen, wantedBy } from './open_request.js';
import { callerFacts, subjectOf, vetCaller } from './sender.js';
import { recheckTargets, releaseTargets } from './targets.js';
import { isOpenTicket, unknownTicket } from './held_requests.js';
import { TICKET_SECONDS } from './tickets.js';

export async function open(broker: Broker, call: Call<ClientConnection>, reply: Replier): Promise<void> {
  const client = call.context;
  const parameters = call.parameters as unknown as OpenParameters;
  const caller = vetCaller(broker, client, undefined, call.fds, parameters.targets.length);
  const wanted = vetOpen(broker, caller, parameters, call.fds);
  let granted: Granted;
  try {
    requireRoom(wanted.request, call.more);
    const approval = await approve(broker, client, caller, wanted, parameters.allowInteractive === true);
    granted = await grantEvents(broker, client, wanted, approval, call.more);
  } catch (error) {
    releaseTargets(wanted.request.targets);
    throw error;
  }
  sendSlots(granted, reply);
}

/** Decides for a caller on the bus and keeps what was decided about; what the ticket is worth is decided again in `redeem`. */
export async function prepareOpen(broker: Broker, call: Call<ClientConnection>, reply: Replier): Promise<void> {
  const client = call.context;
  const parameters = call.parameters as unknown as PrepareOpenParameters;
  const caller = vetCaller(broker, client, parameters.sender, call.fds, parameters.targets.length);
  const subject = subjectOf(caller);
  const wanted = vetOpen(broker, caller, parameters, call.fds);
  const { targets } = wanted.request;
  const release = (): void => releaseTargets(targets);
  let ticket: string;
  let decision: Decision;
  try {
    const approval = await approve(broker, client, caller, wanted, parameters.allowInteractive === true);
    const { verdict, authorized } = approval;
    broker.requireTickets();
    broker.record(subject, {
      action: 'prepare',
      verdict: 'allow',
      ...auditFacts(wanted.request),
      ...callerFacts(caller),
      rule: verdict.rule,
    });
    const fds = targets.filter(({ fd }) => fd !== null).length;
    decision = decisionJson(verdict, authorized);
    ticket = broker.tickets.add(subject.uid, { kind: 'open', wanted, authorized, fds, release });
  } catch (error) {
    release();
    throw error;
  }
  reply.reply({ ticket, expiresSeconds: TICKET_SECONDS, decision });
}

/** The client's own connection is what the opener looks at: the front end's word got it this far and no further. */
export async function redeem(broker: Broker, call: Call<ClientConnection>, reply: Replier): Promise<void> {
  const client = call.context;
  const { ticket } = call.parameters as unknown as RedeemParameters;
  const held = broker.tickets.take(ticket, client.subject.uid, isOpenTicket);
  if (held === null) throw unknownTicket();
  let granted: Granted;
  try {
    const wanted = wantedBy(client.subject, held.wanted);
    const caller = vetCaller(broker, client, undefined, call.fds, wanted.request.targets.length);
    requireRoom(wanted.request, call.more);
    recheckTargets(wanted.request.targets);
    const approval = approveAgain(broker, caller, wanted, held.authorized);
    granted = await grantEvents(broker, client, wanted, approval, call.more);
  } catch (error) {
    held.release();
    throw error;
  }
  sendSlots(granted, reply);
}
