/** Downgrade, and the same in two steps for callers on the system bus: PrepareDowngrade, RedeemDowngrade. */
import { brokerError } from '../../../model/errors/error_table.js';
import { BrokerError } from '../../../model/errors/errors.js';
import type { Fd } from '../../../native.js';
import { actionId, type AuthorizationAction } from '../../../policy/decide/authorization.js';
import type {
  Decision,
  DowngradedProcess,
  DowngradeParameters,
  PrepareDowngradeParameters,
  RedeemDowngradeParameters,
} from '../../../interfaces/broker_types.js';
import type { Replier } from '../../../varlink/service.js';
import type { Broker } from '../../broker.js';
import type { ClientConnection } from '../../processes/client_connection.js';
import { decisionJson } from '../request/denial.js';
import { pinDescendants } from './descendants.js';
import { downgradeProcess, orderFacts, type DowngradeOrder } from './order.js';
import { allowDowngrade, approveDowngrade, vetDowngrade } from './decide.js';
import { isDowngradeTicket, unknownTicket, type HeldDowngrade } from '../request/held_requests.js';
import { callerFacts, subjectOf, vetCaller, type Caller, type WorkCall } from '../request/identify_caller.js';
import { processFacts, recheckTargets, releaseTargets, type ProcessTarget } from '../../processes/targets.js';
import { TICKET_SECONDS } from '../../grants/tickets.js';
import type { TracerClient } from '../../ipc/tracer.js';
import type { WantedDowngrade } from '../request/wanted.js';

/** Walks down from the target before the tree is taken as it is: each generation that was forked meanwhile costs one. */
const MAX_WALKS = 8;

export async function downgrade(broker: Broker, call: WorkCall, reply: Replier): Promise<void> {
  const { context: client, work } = call;
  const parameters = call.parameters as unknown as DowngradeParameters;
  const interactive = parameters.allowInteractive === true;
  const caller = vetCaller(broker, call, undefined);
  const wanted = await vetDowngrade(broker, caller, parameters, call.fds);
  let authorized: readonly AuthorizationAction[];
  try {
    // Policy first: who may not downgrade the target itself does not have us walk through all of /proc.
    authorized = await work.timed(() => approveDowngrade(broker, client, caller, wanted, interactive));
  } catch (error) {
    releaseTargets([wanted.target]);
    throw error;
  }
  reply.reply({ processes: await carryOut(broker, call, wanted, authorized) });
}

export async function prepareDowngrade(broker: Broker, call: WorkCall, reply: Replier): Promise<void> {
  const { context: client, work } = call;
  const parameters = call.parameters as unknown as PrepareDowngradeParameters;
  const interactive = parameters.allowInteractive === true;
  const caller = vetCaller(broker, call, parameters.sender);
  const subject = subjectOf(caller);
  const wanted = await vetDowngrade(broker, caller, parameters, call.fds);
  const { target, order } = wanted;
  const release = (): void => releaseTargets([target]);
  let ticket: string;
  let decision: Decision;
  try {
    const authorized = await work.timed(() => approveDowngrade(broker, client, caller, wanted, interactive));
    const verdict = allowDowngrade(broker, caller, [target], order, authorized);
    broker.requireTickets();
    broker.record(subject, {
      action: 'prepare',
      verdict: 'allow',
      targets: [processFacts(target)],
      ...orderFacts(order),
      ...callerFacts(caller),
      rule: verdict.rule,
    });
    decision = decisionJson(verdict, authorized);
    const held: HeldDowngrade = { kind: 'downgrade', wanted, authorized, fds: 1, release };
    ticket = broker.tickets.add(subject.uid, held);
  } catch (error) {
    release();
    throw error;
  }
  reply.reply({ ticket, expiresSeconds: TICKET_SECONDS, decision });
}

/** As for Redeem: the tracer looks at the client's own connection. */
export async function redeemDowngrade(broker: Broker, call: WorkCall, reply: Replier): Promise<void> {
  const { context: client, work } = call;
  const { ticket } = call.parameters as unknown as RedeemDowngradeParameters;
  const held = broker.tickets.redeem(ticket, client.subject.uid, isDowngradeTicket);
  if (held === null) throw unknownTicket();
  try {
    await recheckTargets([held.wanted.target], work);
  } catch (error) {
    held.release();
    throw error;
  }
  reply.reply({ processes: await carryOut(broker, call, held.wanted, held.authorized) });
}

/** Releases the target in every case. */
async function carryOut(
  broker: Broker,
  { context: client, work }: WorkCall,
  wanted: WantedDowngrade,
  authorized: readonly AuthorizationAction[],
): Promise<readonly DowngradedProcess[]> {
  const caller = { peer: client.peer, busName: null, work };
  // Once for the request: after a reload of /etc/subuid the user may have another lane.
  const lane = broker.dependencies.subordinateUids.userOf(client.subject);
  const run = new Run(broker, client, caller, wanted, authorized);
  try {
    return await client.withSocket(lane, (connection) => run.finish(connection));
  } finally {
    run.close();
  }
}

/** One request under way; holds every process that it is about until `close`. */
class Run {
  readonly #broker: Broker;
  readonly #client: ClientConnection;
  readonly #caller: Caller;
  readonly #tracer: TracerClient;
  readonly #order: DowngradeOrder;
  readonly #children: boolean;
  readonly #authorized: readonly AuthorizationAction[];
  readonly #done: DowngradedProcess[] = [];
  #targets: ProcessTarget[];

  /** @param wanted its target is the run's from now on */
  constructor(
    broker: Broker,
    client: ClientConnection,
    caller: Caller,
    { tracer, order, children, target }: WantedDowngrade,
    authorized: readonly AuthorizationAction[],
  ) {
    this.#broker = broker;
    this.#client = client;
    this.#caller = caller;
    this.#tracer = tracer;
    this.#order = order;
    this.#children = children;
    this.#authorized = authorized;
    this.#targets = [target];
  }

  /** @param connection the client's socket, for the tracer */
  async finish(connection: Fd): Promise<readonly DowngradedProcess[]> {
    // Policy first: who may not downgrade the target itself does not have us walk through all of /proc.
    allowDowngrade(this.#broker, this.#caller, this.#targets, this.#order, this.#authorized);
    let fresh: readonly ProcessTarget[] = [...this.#targets, ...(await this.#newDescendants())];
    for (let walk = 0; walk < MAX_WALKS && fresh.length > 0; walk++) {
      await this.#generation(connection, fresh);
      // What a process forks after its downgrade has nothing to lose; what it forked before is there now.
      fresh = this.#order.dryRun ? [] : await this.#newDescendants();
    }
    return this.#done;
  }

  close(): void {
    releaseTargets(this.#targets);
    this.#targets = [];
  }

  get #authorization(): Record<string, unknown> {
    return this.#authorized.length === 0 ? {} : { authorized: this.#authorized.map(actionId) };
  }

  async #newDescendants(): Promise<readonly ProcessTarget[]> {
    if (!this.#children) return [];
    const found = await pinDescendants(this.#targets, this.#caller.work);
    this.#targets.push(...found);
    return found;
  }

  async #generation(connection: Fd, targets: readonly ProcessTarget[]): Promise<void> {
    const facts = { targets: targets.map(processFacts), ...orderFacts(this.#order) };
    const { subject } = this.#client;
    try {
      const { rule } = allowDowngrade(this.#broker, this.#caller, targets, this.#order, this.#authorized);
      // Whatever can be seen to stand against one of several is seen before the first one is changed.
      if (targets.length > 1 && !this.#order.dryRun)
        await this.#each(connection, targets, { ...this.#order, dryRun: true });
      this.#broker.record(subject, { action: 'downgrade', verdict: 'allow', ...facts, rule, ...this.#authorization });
      for (const process of await this.#each(connection, targets, this.#order, this.#done)) {
        if (this.#order.dryRun) continue;
        const { pid, stoppedMicroseconds, threads } = process;
        this.#broker.record(subject, {
          action: 'downgraded',
          verdict: 'allow',
          pid,
          threads: threads.length,
          stoppedMicroseconds,
        });
      }
    } catch (error) {
      const told = this.#done.length === 0 || this.#order.dryRun ? error : this.#withDone(error);
      if (!(error instanceof BrokerError) || (error.error !== 'PolicyDenied' && error.error !== 'AuditFailed'))
        this.#broker.recordIfPossible(subject, {
          action: 'downgraded',
          verdict: 'error',
          ...facts,
          error: (told as Error).message,
        });
      throw told;
    }
  }

  /** The first of all is the target: that it has ended is an error, of the others it is none. */
  async #each(
    connection: Fd,
    targets: readonly ProcessTarget[],
    order: DowngradeOrder,
    into: DowngradedProcess[] = [],
  ): Promise<readonly DowngradedProcess[]> {
    const before = into.length;
    const caller = this.#broker.tracing(this.#client.subject);
    for (const target of targets) {
      try {
        into.push(await downgradeProcess(this.#tracer, caller, connection, target, order));
      } catch (error) {
        const ended = error instanceof BrokerError && error.error === 'TargetGone';
        if (!ended || target === this.#targets[0]) throw error;
      }
    }
    return into.slice(before);
  }

  #withDone(error: unknown): unknown {
    if (!(error instanceof BrokerError)) return error;
    const { processes = [] } = error.details as { processes?: readonly DowngradedProcess[] };
    const code = error.error === 'DowngradeFailed' ? 'partial' : 'children';
    return brokerError('DowngradeFailed', code, error.message, {
      errno: error.errno,
      details: { processes: [...this.#done, ...processes] },
    });
  }
}
