import { brokerError } from '../../../model/errors/error_table.js';
import { BrokerError } from '../../../model/errors/errors.js';
import type { Fd } from '../../../native.js';
import { actionId, type AuthorizationAction } from '../../../policy/decide/authorization.js';
import type { DowngradedProcess } from '../../../interfaces/broker_types.js';
import { processFacts, releaseTargets, type ProcessTarget } from '../../processes/targets.js';
import type { Caller } from '../request/identify_caller.js';
import type { DowngradeContext } from './context.js';
import { approveDowngradeAgain, type VettedDowngrade } from './decide.js';
import { pinDescendants } from './descendants.js';
import { orderFacts, type DowngradeOrder } from './order.js';
import { downgradeProcess, recordDowngraded } from './process.js';

/** Walks down from the target at most. Each generation of children that is forked during the run costs one. */
const MAX_WALKS = 8;

type FindDescendants = typeof pinDescendants;

/** Downgrades a process, and its descendants where the request says so. Pins all of them until `close`. */
export class DowngradeRun implements Disposable {
  readonly #context: DowngradeContext;
  readonly #caller: Caller;
  readonly #vetted: VettedDowngrade;
  readonly #authorized: readonly AuthorizationAction[];
  readonly #findDescendants: FindDescendants;
  readonly #done: DowngradedProcess[] = [];
  #targets: ProcessTarget[];

  /** @param vetted its target is closed by the run from now on */
  constructor(
    context: DowngradeContext,
    caller: Caller,
    vetted: VettedDowngrade,
    authorized: readonly AuthorizationAction[],
    findDescendants: FindDescendants = pinDescendants,
  ) {
    this.#context = context;
    this.#caller = caller;
    this.#vetted = vetted;
    this.#authorized = authorized;
    this.#findDescendants = findDescendants;
    this.#targets = [vetted.target];
  }

  /** @param socket the client's, for the tracer */
  async finish(socket: Fd): Promise<readonly DowngradedProcess[]> {
    // Policy first: a caller that may not downgrade the target itself must not make us walk through all of /proc.
    this.#approve(this.#targets);
    let fresh: readonly ProcessTarget[] = [...this.#targets, ...(await this.#newDescendants())];
    for (let walk = 0; walk < MAX_WALKS && fresh.length > 0; walk++) {
      await this.#downgradeBatch(socket, fresh);
      // A child that was forked after the downgrade of its parent has nothing to lose. One that was forked before is there now.
      fresh = this.#vetted.order.dryRun ? [] : await this.#newDescendants();
    }
    return this.#done;
  }

  [Symbol.dispose](): void {
    releaseTargets(this.#targets);
    this.#targets = [];
  }

  #approve(targets: readonly ProcessTarget[]): string {
    return approveDowngradeAgain(this.#context, this.#caller, targets, this.#vetted.order, this.#authorized).rule;
  }

  async #newDescendants(): Promise<readonly ProcessTarget[]> {
    if (!this.#vetted.children) return [];
    const found = await this.#findDescendants(this.#targets, this.#caller.work);
    this.#targets.push(...found);
    return found;
  }

  async #downgradeBatch(socket: Fd, targets: readonly ProcessTarget[]): Promise<void> {
    const { order } = this.#vetted;
    const { subject } = this.#caller.peer;
    const facts = { targets: targets.map(processFacts), ...orderFacts(order) };
    try {
      const rule = this.#approve(targets);
      // An obstacle at one of several processes is found before the first one is changed.
      if (targets.length > 1 && !order.dryRun) await this.#downgradeAll(socket, targets, { ...order, dryRun: true });
      const authorized = this.#authorized.length === 0 ? {} : { authorized: this.#authorized.map(actionId) };
      this.#context.record(subject, { action: 'downgrade', verdict: 'allow', ...facts, rule, ...authorized });
      const downgraded = await this.#downgradeAll(socket, targets, order, this.#done);
      if (!order.dryRun) for (const process of downgraded) recordDowngraded(this.#context, subject, process);
    } catch (error) {
      const reported = this.#done.length === 0 || order.dryRun ? error : this.#withDone(error);
      if (!(error instanceof BrokerError) || (error.error !== 'PolicyDenied' && error.error !== 'AuditFailed'))
        this.#context.recordIfPossible(subject, {
          action: 'downgraded',
          verdict: 'error',
          ...facts,
          error: (reported as Error).message,
        });
      throw reported;
    }
  }

  /** It is an error when the target of the request has ended, but not when a descendant has. */
  async #downgradeAll(
    socket: Fd,
    targets: readonly ProcessTarget[],
    order: DowngradeOrder,
    into: DowngradedProcess[] = [],
  ): Promise<readonly DowngradedProcess[]> {
    const before = into.length;
    const { tracer } = this.#vetted;
    const { subject } = this.#caller.peer;
    const lane = this.#context.dependencies.subordinateUids.userOf(subject);
    for (const target of targets) {
      try {
        into.push(await downgradeProcess(this.#context, subject, lane, socket, { tracer, target, order }));
      } catch (error) {
        const ended = error instanceof BrokerError && error.error === 'TargetGone';
        if (!ended || target === this.#targets[0]) throw error;
      }
    }
    return into.slice(before);
  }

  /** The error with the processes that were downgraded before it. */
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
