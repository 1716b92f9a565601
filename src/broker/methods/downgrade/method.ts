/** Downgrade, and the same in two steps for callers on the system bus: PrepareDowngrade, RedeemDowngrade. */
import { Rollback } from '../../../common/rollback.js';
import type { AuthorizationAction } from '../../../policy/decide/authorization.js';
import type {
  DowngradedProcess,
  DowngradeParameters,
  PrepareDowngradeParameters,
  RedeemDowngradeParameters,
} from '../../../interfaces/broker_types.js';
import { TICKET_SECONDS, type TicketPayload } from '../../grants/tickets.js';
import { processFacts, recheckTargets, releaseTargets } from '../../processes/targets.js';
import type { Reply, WorkCall } from '../request/context.js';
import { decisionJson, unknownTicket } from '../request/denial.js';
import { callerFacts, identifyCaller, subjectOf } from '../request/identify_caller.js';
import type { DowngradeContext, PrepareDowngradeContext } from './context.js';
import { approveDowngrade, approveDowngradeAgain, vetDowngrade, type VettedDowngrade } from './decide.js';
import { orderFacts } from './order.js';
import { DowngradeRun } from './run.js';

export async function downgrade(context: DowngradeContext, call: WorkCall, reply: Reply): Promise<void> {
  const { context: client, work } = call;
  const parameters = call.parameters as unknown as DowngradeParameters;
  const interactive = parameters.allowInteractive === true;
  const caller = identifyCaller(context, call, undefined);
  const vetted = await vetDowngrade(context, caller, parameters, call.fds);
  using pin = new Rollback(() => releaseTargets([vetted.target]));
  const authorized = await work.timed(() => approveDowngrade(context, client, caller, vetted, interactive));
  pin.keep();
  reply.reply({ processes: await carryOut(context, call, vetted, authorized) });
}

export async function prepareDowngrade(context: PrepareDowngradeContext, call: WorkCall, reply: Reply): Promise<void> {
  const { context: client, work } = call;
  const parameters = call.parameters as unknown as PrepareDowngradeParameters;
  const interactive = parameters.allowInteractive === true;
  const caller = identifyCaller(context, call, parameters.sender);
  const subject = subjectOf(caller);
  const vetted = await vetDowngrade(context, caller, parameters, call.fds);
  const { target, order } = vetted;
  using pin = new Rollback(() => releaseTargets([target]));
  const authorized = await work.timed(() => approveDowngrade(context, client, caller, vetted, interactive));
  const verdict = approveDowngradeAgain(context, caller, [target], order, authorized);
  context.requireTickets();
  context.record(subject, {
    action: 'prepare',
    verdict: 'allow',
    targets: [processFacts(target)],
    ...orderFacts(order),
    ...callerFacts(caller),
    rule: verdict.rule,
  });
  const decision = decisionJson(verdict, authorized);
  const ticket = context.tickets.add(subject.uid, new DowngradeTicket(vetted, authorized));
  pin.keep();
  reply.reply({ ticket, expiresSeconds: TICKET_SECONDS, decision });
}

/** The tracer checks the client's own connection, as the opener does for Redeem. */
export async function redeemDowngrade(context: PrepareDowngradeContext, call: WorkCall, reply: Reply): Promise<void> {
  const { context: client, work } = call;
  const { ticket } = call.parameters as unknown as RedeemDowngradeParameters;
  const payload = context.tickets.find(ticket, client.subject.uid, isDowngradeTicket);
  if (payload === null) throw unknownTicket();
  context.tickets.redeem(ticket);
  const { vetted, authorized } = payload;
  using pin = new Rollback(payload.release);
  await recheckTargets([vetted.target], work);
  pin.keep();
  reply.reply({ processes: await carryOut(context, call, vetted, authorized) });
}

class DowngradeTicket implements TicketPayload {
  readonly vetted: VettedDowngrade;
  readonly authorized: readonly AuthorizationAction[];
  /** The pidfd of the target. */
  readonly fds = 1;

  constructor(vetted: VettedDowngrade, authorized: readonly AuthorizationAction[]) {
    this.vetted = vetted;
    this.authorized = authorized;
  }

  readonly release = (): void => releaseTargets([this.vetted.target]);
}

function isDowngradeTicket(payload: TicketPayload): payload is DowngradeTicket {
  return payload instanceof DowngradeTicket;
}

/** Releases the target in every case. */
async function carryOut(
  context: DowngradeContext,
  { context: client, work }: WorkCall,
  vetted: VettedDowngrade,
  authorized: readonly AuthorizationAction[],
): Promise<readonly DowngradedProcess[]> {
  // Read once for the request: after a reload of /etc/subuid the user can have another lane.
  const lane = context.dependencies.subordinateUids.userOf(client.subject);
  using run = new DowngradeRun(context, { peer: client.peer, busName: null, work }, vetted, authorized);
  return await client.withSocket(lane, (socket) => run.finish(socket));
}
