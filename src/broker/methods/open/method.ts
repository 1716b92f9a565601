/** Open, and the same in two steps for callers on the system bus: PrepareOpen, Redeem. */
import type {
  Decision,
  OpenParameters,
  PrepareOpenParameters,
  RedeemParameters,
} from '../../../interfaces/broker_types.js';
import type { Replier } from '../../../varlink/service.js';
import type { Broker } from '../../broker.js';
import { decisionJson } from '../request/denial.js';
import { grantEvents, requireRoom, sendSlots, type Granted } from './grant.js';
import { approve, approveAgain, auditFacts, vetOpen, wantedBy } from './decide.js';
import { callerFacts, subjectOf, vetCaller, type WorkCall } from '../request/identify_caller.js';
import { recheckTargets, releaseTargets } from '../../processes/targets.js';
import { isOpenTicket, unknownTicket, type HeldOpen } from '../request/held_requests.js';
import { TICKET_SECONDS } from '../../grants/tickets.js';

export async function open(broker: Broker, call: WorkCall, reply: Replier): Promise<void> {
  const { context: client, work } = call;
  const parameters = call.parameters as unknown as OpenParameters;
  const interactive = parameters.allowInteractive === true;
  const caller = vetCaller(broker, call, undefined, parameters.targets.length);
  const wanted = await vetOpen(broker, caller, parameters, call.fds);
  let granted: Granted;
  try {
    requireRoom(wanted.request, call.more);
    const approval = await work.timed(() => approve(broker, client, caller, wanted, interactive));
    granted = await work.timed(() => grantEvents(broker, client, wanted, approval, call.more));
  } catch (error) {
    releaseTargets(wanted.request.targets);
    throw error;
  }
  work.timed(() => sendSlots(broker, granted, reply));
}

/** Decides for a caller on the bus and keeps what was decided about; what the ticket is worth is decided again in `redeem`. */
export async function prepareOpen(broker: Broker, call: WorkCall, reply: Replier): Promise<void> {
  const { context: client, work } = call;
  const parameters = call.parameters as unknown as PrepareOpenParameters;
  const interactive = parameters.allowInteractive === true;
  const caller = vetCaller(broker, call, parameters.sender, parameters.targets.length);
  const subject = subjectOf(caller);
  const wanted = await vetOpen(broker, caller, parameters, call.fds);
  const { targets } = wanted.request;
  const release = (): void => releaseTargets(targets);
  let ticket: string;
  let decision: Decision;
  try {
    const approval = await work.timed(() => approve(broker, client, caller, wanted, interactive));
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
    const held: HeldOpen = { kind: 'open', wanted, authorized, fds, release };
    ticket = broker.tickets.add(subject.uid, held);
  } catch (error) {
    release();
    throw error;
  }
  reply.reply({ ticket, expiresSeconds: TICKET_SECONDS, decision });
}

/** The client's own connection is what the opener looks at: the front end's word got it this far and no further. */
export async function redeem(broker: Broker, call: WorkCall, reply: Replier): Promise<void> {
  const { context: client, work } = call;
  const { ticket } = call.parameters as unknown as RedeemParameters;
  const held = broker.tickets.redeem(ticket, client.subject.uid, isOpenTicket);
  if (held === null) throw unknownTicket();
  let granted: Granted;
  try {
    const wanted = wantedBy(client.subject, held.wanted);
    const caller = vetCaller(broker, call, undefined, wanted.request.targets.length);
    requireRoom(wanted.request, call.more);
    await recheckTargets(wanted.request.targets, work);
    const approval = work.timed(() => approveAgain(broker, caller, wanted, held.authorized));
    granted = await work.timed(() => grantEvents(broker, client, wanted, approval, call.more));
  } catch (error) {
    held.release();
    throw error;
  }
  work.timed(() => sendSlots(broker, granted, reply));
}
