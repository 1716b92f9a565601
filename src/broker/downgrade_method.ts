/** Downgrade: decide, look at everything, record, take, record what was taken. */
import { brokerError } from '../model/error_table.js';
import { BrokerError } from '../model/errors.js';
import { native, type Fd } from '../native.js';
import { decideDowngrade } from '../policy/decide_downgrade.js';
import type { DowngradedProcess, DowngradeParameters } from '../varlink/broker_types.js';
import type { Call, Replier } from '../varlink/service.js';
import type { Broker } from './broker.js';
import type { ClientConnection } from './client_connection.js';
import { denial, denialTexts } from './denial.js';
import { pinDescendants } from './descendants.js';
import { downgradeProcess, orderFacts, parseOrder, requireTracer, type DowngradeOrder } from './downgrade.js';
import { pinTargets, processFacts, releaseTargets, type PinnedTarget, type ProcessTarget } from './targets.js';
import type { TracerClient } from './tracer.js';

/** Walks down from the target before the tree is taken as it is: each generation that was forked meanwhile costs one. */
const MAX_WALKS = 8;

export async function downgrade(broker: Broker, call: Call<ClientConnection>, reply: Replier): Promise<void> {
  const parameters = call.parameters as unknown as DowngradeParameters;
  const tracer = requireTracer(broker.parts.tracer);
  const wanted = parameters.target.pidfd === undefined ? 0 : 1;
  if (call.fds.count !== wanted)
    throw brokerError('UnexpectedFds', 'unused', `${call.fds.count} fds came along; the target mentions ${wanted}`);
  const order = parseOrder(parameters);
  const run = new Run(broker, call.context, tracer, order, parameters.children === true);
  try {
    run.start(pinTargets([parameters.target], call.fds, call.context.peer));
    reply.reply({ processes: await run.finish() });
  } finally {
    run.close();
  }
}

/** The whole process that the targets of a request must be. @throws BrokerError target-kind */
export function onlyProcess(targets: readonly PinnedTarget[]): ProcessTarget {
  const [target] = targets;
  if (target?.kind !== 'process' || target.tid !== null || targets.length !== 1)
    throw brokerError('DowngradeRefused', 'target-kind', 'a downgrade is of one process, with all its threads');
  return target;
}

/** Asks the policy; a denial is recorded and thrown. @returns the rule that allows it */
export function allowDowngrade(
  broker: Broker,
  client: ClientConnection,
  targets: readonly ProcessTarget[],
  order: DowngradeOrder,
): string {
  const { subject } = client;
  const verdict = decideDowngrade({ subject, processes: targets.map(({ process }) => process) }, broker.policy);
  if (verdict.kind === 'allow') return verdict.rule;
  broker.record(subject, {
    action: 'downgrade',
    verdict: 'deny',
    targets: targets.map(processFacts),
    ...orderFacts(order),
    rule: verdict.rule,
    reasons: denialTexts(verdict),
  });
  throw denial(verdict);
}

/** One request under way; holds every process that it is about until `close`. */
class Run {
  readonly #broker: Broker;
  readonly #client: ClientConnection;
  readonly #tracer: TracerClient;
  readonly #order: DowngradeOrder;
  readonly #children: boolean;
  readonly #connection: Fd;
  readonly #done: DowngradedProcess[] = [];
  #targets: ProcessTarget[] = [];

  constructor(
    broker: Broker,
    client: ClientConnection,
    tracer: TracerClient,
    order: DowngradeOrder,
    children: boolean,
  ) {
    this.#broker = broker;
    this.#client = client;
    this.#tracer = tracer;
    this.#order = order;
    this.#children = children;
    // The job may wait behind others: with a duplicate, the number can not have become another client's meanwhile.
    this.#connection = native.duplicate(client.socket);
  }

  start(pinned: readonly PinnedTarget[]): void {
    try {
      this.#targets.push(onlyProcess(pinned));
    } catch (error) {
      releaseTargets(pinned);
      throw error;
    }
  }

  async finish(): Promise<readonly DowngradedProcess[]> {
    // Policy first: who may not downgrade the target itself does not have us walk through all of /proc.
    allowDowngrade(this.#broker, this.#client, this.#targets, this.#order);
    let fresh: readonly ProcessTarget[] = [...this.#targets, ...this.#newDescendants()];
    for (let walk = 0; walk < MAX_WALKS && fresh.length > 0; walk++) {
      await this.#generation(fresh);
      // What a process forks after its downgrade has nothing to lose; what it forked before is there now.
      fresh = this.#order.dryRun ? [] : this.#newDescendants();
    }
    return this.#done;
  }

  close(): void {
    releaseTargets(this.#targets);
    this.#targets = [];
    native.close(this.#connection);
  }

  #newDescendants(): readonly ProcessTarget[] {
    if (!this.#children) return [];
    const found = pinDescendants(this.#targets);
    this.#targets.push(...found);
    return found;
  }

  async #generation(targets: readonly ProcessTarget[]): Promise<void> {
    const facts = { targets: targets.map(processFacts), ...orderFacts(this.#order) };
    const { subject } = this.#client;
    try {
      const rule = allowDowngrade(this.#broker, this.#client, targets, this.#order);
      // Whatever can be seen to stand against one of several is seen before the first one is changed.
      if (targets.length > 1 && !this.#order.dryRun) await this.#each(targets, { ...this.#order, dryRun: true });
      this.#broker.record(subject, { action: 'downgrade', verdict: 'allow', ...facts, rule });
      for (const process of await this.#each(targets, this.#order, this.#done)) {
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
        this.#broker.record(subject, {
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
    targets: readonly ProcessTarget[],
    order: DowngradeOrder,
    into: DowngradedProcess[] = [],
  ): Promise<readonly DowngradedProcess[]> {
    const before = into.length;
    for (const target of targets) {
      try {
        into.push(await downgradeProcess(this.#tracer, this.#client.subject.uid, this.#connection, target, order));
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
