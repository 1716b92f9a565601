/** The broker from ready to end: signals, reloads, notifications for the service manager, the end of an idle broker. */
import { closeSync, writeSync } from 'node:fs';
import { native, type Fd } from '../../native.js';
import type { SubordinateUids } from '../../model/identity/subordinate_uids.js';
import { formatProblem, PolicyError } from '../../policy/error.js';
import { loadPolicy } from '../../policy/load/load.js';
import type { Policy } from '../../policy/types.js';
import type { Broker } from '../broker.js';
import { fdLimitWarning, readFdLimit } from './fd_limit.js';
import { IdleTimer } from '../../common/idle_timer.js';
import type { Logger } from '../../common/logger.js';
import { Notifier } from './notify.js';
import type { BrokerOptions } from '../options.js';
import { SOCKET_ACTIVATED, type Server } from '../server.js';

/** Loads the policy and /etc/subuid, at the start and at each reload, and logs their warnings. @throws PolicyError */
export function loadWithWarnings(options: BrokerOptions, subordinateUids: SubordinateUids, log: Logger): Policy {
  const policy = loadPolicy(options.policy === undefined ? {} : { path: options.policy });
  for (const warning of policy.warnings) log.warn(warning);
  const tight = fdLimitWarning(policy, readFdLimit());
  if (tight !== null) log.warn(tight);
  subordinateUids.load((text) => log.warn(text));
  return policy;
}

export function problemsOf(error: unknown): readonly string[] {
  return error instanceof PolicyError ? error.problems.map(formatProblem) : [(error as Error).message];
}

export class Lifecycle {
  readonly #broker: Broker;
  readonly #server: Server;
  readonly #options: BrokerOptions;
  readonly #notifier: Notifier | null = Notifier.fromEnvironment();
  readonly #idle: IdleTimer | null;
  /** Problem of the last reload; empty when it succeeded. */
  #problem = '';

  constructor(broker: Broker, server: Server, options: BrokerOptions) {
    this.#broker = broker;
    this.#server = server;
    this.#options = options;
    this.#idle = SOCKET_ACTIVATED
      ? new IdleTimer({
          busy: () => this.#busy(),
          lastActivityMs: () => server.lastActivityMs,
          onIdle: () => this.#endIdle(),
        })
      : null;
  }

  /** Called when the listener is served. */
  begin(): void {
    process.on('SIGHUP', () => this.#reload());
    // Not `once`: the kernel would handle a second signal, and end the process at once.
    process.on('SIGTERM', () => this.#stop());
    process.on('SIGINT', () => this.#stop());
    notifyStarter(this.#options.ready);
    this.#idle?.start(idleSeconds(this.#broker.policy));
    if (this.#notifier === null) return;
    this.#notifier.ready(this.#status());
    this.#notifier.feedWatchdog(() => this.#broker.dependencies.opener.ping());
    this.#broker.grants.onChange = () => this.#notifier?.status(this.#status());
  }

  #reload(): void {
    const { log, subordinateUids } = this.#broker.dependencies;
    this.#notifier?.reloading();
    try {
      const policy = loadWithWarnings(this.#options, subordinateUids, log);
      this.#broker.replacePolicy(policy);
      this.#idle?.start(idleSeconds(policy));
      this.#problem = '';
      log.info(`policy reloaded: ${policy.sources.join(', ')}`);
    } catch (error) {
      const problems = problemsOf(error);
      this.#problem = `; the reload failed, and the old policy stays in force: ${problems[0] ?? ''}`;
      for (const problem of problems) log.error(`the old policy stays in force: ${problem}`);
    }
    this.#notifier?.ready(this.#status());
  }

  #status(): string {
    const grants = this.#broker.grants.list('all');
    const users = new Set(grants.map(({ parts }) => parts.subject.uid)).size;
    const fds = grants.reduce((sum, { parts }) => sum + parts.fds.length, 0);
    const counted = [count(grants.length, 'grant'), count(users, 'user'), count(fds, 'fd')] as const;
    return `${counted[0]} of ${counted[1]}, ${counted[2]}; policy ${this.#broker.policy.sources.join(', ')}${this.#problem}`;
  }

  /**
   * Rings that outlive their grant also keep the broker alive: exiting would forget that they count against the quota. So does an operation
   * that hangs in a lane: its thread would keep the process from ending, and systemd from starting the next one. So does a user's debt of
   * tokens, which the next broker would not know.
   */
  #busy(): boolean {
    const { running, grants, rates } = this.#broker;
    return (
      this.#server.occupied ||
      running > 0 ||
      grants.size > 0 ||
      grants.watchesRings ||
      rates.indebted ||
      native.laneOperations() > 0
    );
  }

  #endIdle(): void {
    // No connection may be accepted after the last check.
    this.#server.stopAccepting();
    this.#broker.enter('stopping');
    this.#broker.dependencies.log.info('ending: idle');
    this.#notifier?.stopping('idle');
    this.#close();
  }

  #stop(): void {
    if (this.#broker.phase !== 'serving') return;
    this.#broker.dependencies.log.info('ending');
    this.#notifier?.stopping('ending');
    void this.#server.stop().then(() => this.#close());
  }

  #close(): void {
    const { opener, tracer } = this.#broker.dependencies;
    this.#broker.grants.endAll('shutdown');
    this.#broker.tickets.clear();
    opener.close();
    tracer?.close();
    process.exit(0);
  }
}

/**
 * Time without activity after which the broker ends. It is not shorter than the time to refill a burst: the next broker gives each user a full
 * one.
 */
export function idleSeconds({
  service: { idleExitSeconds, burst, requestsPerSecond },
}: Pick<Policy, 'service'>): number {
  return idleExitSeconds === 0 ? 0 : Math.max(idleExitSeconds, burst / requestsPerSecond);
}

function notifyStarter(ready: Fd | null): void {
  if (ready === null) return;
  writeSync(ready, Buffer.of(0));
  closeSync(ready);
}

function count(number: number, word: string): string {
  return `${number} ${word}${number === 1 ? '' : 's'}`;
}
