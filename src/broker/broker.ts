/** State that all connections share: the policy in force, grants, quotas, the helper processes and the audit log. */
import { brokerError } from '../model/errors/error_table.js';
import type { BrokerError } from '../model/errors/errors.js';
import type { EventClass } from '../model/event.js';
import { Quota } from '../policy/quota/quota.js';
import type { Policy } from '../policy/types.js';
import type { AuditLog } from './audit/audit.js';
import type { AuditRecord } from './audit/audit_record.js';
import type { Decision, RequestLog } from './audit/request_log.js';
import type { Authorizer } from './ipc/authorizer.js';
import { Grants, type EndedGrant, type Grant } from './grants/grants.js';
import type { Logger } from '../common/logger.js';
import type { Machine } from './host/machine.js';
import type { OpenerClient } from './ipc/opener.js';
import type { SubordinateUids } from '../model/identity/subordinate_uids.js';
import { Rates } from './fairness/rates.js';
import { RingAnchors } from './grants/ring_anchors.js';
import { PremapLimit } from './grants/premap_limit.js';
import type { Subject } from '../model/identity/subject.js';
import { Tickets } from './grants/tickets.js';
import type { Tracepoints } from './host/tracepoints.js';
import type { TracerClient } from './ipc/tracer.js';
import { Turns } from './fairness/turns.js';
import { Work, type Waiting } from './fairness/work.js';

/** Bytes of a message for which one token is taken. The worst ones (`{},{},{}`) take as long to parse and check as an `Explain`: 0.3 ms. */
const BYTES_PER_REQUEST = 1024;
/** Fds of a message for which one token is taken. Receiving and closing them takes about as long as an `Explain`. */
const FDS_PER_REQUEST = 32;

type UserId = Pick<Subject, 'uid'>;

export interface BrokerDependencies {
  readonly machine: Machine;
  readonly tracepoints: Tracepoints;
  readonly ceiling: readonly EventClass[];
  readonly capability: string;
  readonly opener: OpenerClient;
  /** Null without --with-tracer. */
  readonly tracer: TracerClient | null;
  readonly audit: AuditLog;
  readonly authorizer: Authorizer;
  /** uid of the D-Bus front end, which may name another caller. */
  readonly frontEnd: number;
  readonly subordinateUids: SubordinateUids;
  /** See measureSlowness. */
  readonly slowness: number;
  readonly log: Logger;
  /** Null without --log-level debug. */
  readonly requestLog: RequestLog | null;
}

/**
 * Progress of the end.
 * - draining, from SIGTERM on: requests are served, but no ticket is handed out, as the next broker would not know it.
 * - stopping: running requests are finished, new ones are refused.
 */
type Phase = 'serving' | 'draining' | 'stopping';

export class Broker {
  readonly dependencies: BrokerDependencies;
  readonly quota: Quota = new Quota();
  readonly premapLimit: PremapLimit = new PremapLimit();
  readonly ringAnchors: RingAnchors = new RingAnchors();
  readonly grants: Grants;
  readonly rates: Rates;
  readonly tickets: Tickets = new Tickets();
  #policy: Policy;
  #phase: Phase = 'serving';
  readonly #turns: Turns = new Turns();
  /** Each answers its request with an error, before the request has ended. */
  readonly #running = new Set<(error: BrokerError) => void>();

  /** @param policy the first one; see {@link replacePolicy} */
  constructor(dependencies: BrokerDependencies, policy: Policy) {
    this.dependencies = dependencies;
    this.#policy = policy;
    this.rates = new Rates(policy.service, dependencies.subordinateUids, dependencies.slowness);
    this.grants = new Grants((grant, reason, ended) => this.#recordEnd(grant, reason, ended));
  }

  /** The policy in force. */
  get policy(): Policy {
    return this.#policy;
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** Phases only go forward. */
  enter(phase: Exclude<Phase, 'serving'>): void {
    if (this.#phase !== 'stopping') this.#phase = phase;
  }

  /** Applies to new requests. Live grants keep their terms. */
  replacePolicy(policy: Policy): void {
    this.#policy = policy;
    this.rates.replaceLimits(policy.service);
  }

  /** Takes a token for a new connection, before anything else is done for it. False refuses it. */
  admitConnection(user: UserId): boolean {
    return this.isFrontEnd(user) || this.rates.take(user.uid);
  }

  /**
   * Takes tokens for a message before it is parsed: one for each started {@link BYTES_PER_REQUEST}, and one for each {@link FDS_PER_REQUEST}
   * fds. Returns the error that refuses it, or null.
   */
  admitMessage(user: UserId, bytes: number, fds: number): BrokerError | null {
    const tokens = Math.ceil(bytes / BYTES_PER_REQUEST) + Math.floor(fds / FDS_PER_REQUEST);
    // Requests of the front end are charged to the callers that it names. Otherwise one of them could use up the rate of all.
    if (this.isFrontEnd(user) || this.rates.take(user.uid, tokens)) return null;
    return rateLimited(user);
  }

  /**
   * Begins work of a user. Work of the front end is charged to the callers that it names.
   * @param tokens taken from the user for this work
   */
  beginWork(client: Waiting, user: UserId, tokens: number): Work {
    const work = new Work({ client, rates: this.rates, turns: this.#turns });
    if (!this.isFrontEnd(user)) work.payBy(user.uid, tokens);
    return work;
  }

  /**
   * Returns the error that refuses a call, or null.
   * @param last true for a call that is served while stopping
   */
  admitCall(last: boolean): BrokerError | null {
    return this.#phase === 'stopping' && !last ? shuttingDown() : null;
  }

  /** True when a line about this client may be logged. It costs a token, or clients could fill the log. */
  mayLog({ uid }: UserId): boolean {
    return this.rates.take(uid);
  }

  isFrontEnd({ uid }: UserId): boolean {
    return uid === this.dependencies.frontEnd;
  }

  /**
   * Takes a token for each target of a request whose message was admitted: each is looked up in /proc, and a request may have hundreds.
   * @param cost tokens besides those that `admitMessage` took; the user may owe them
   */
  charge(user: UserId, cost: number): void {
    if (cost > 0) this.rates.charge(user.uid, cost);
  }

  /** Takes the tokens of a request that the front end sends for a user. @throws RateLimited */
  admitSender(user: UserId, cost: number): void {
    if (!this.rates.takeOrOwe(user.uid, cost)) throw rateLimited(user);
  }

  /** @throws Unavailable when this broker ends before the ticket can be redeemed */
  requireTickets(): void {
    if (this.#phase !== 'serving') throw shuttingDown();
  }

  /** Counts a request as running until it has ended, also when it is abandoned before. */
  run(request: () => Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#running.add(reject);
      const ended = request().finally(() => this.#running.delete(reject));
      ended.then(resolve, reject);
    });
  }

  /** Requests under way. No new one begins while `stopping`. */
  get running(): number {
    return this.#running.size;
  }

  /** Answers every request under way with `shutting-down`: a helper or a lane may keep it waiting for longer than a stop may take. */
  abandonRequests(): void {
    for (const abandon of this.#running) abandon(shuttingDown());
  }

  /** @throws AuditFailed: the caller must not hand over anything that could not be recorded */
  record(subject: Subject, record: AuditRecord): void {
    // An end is not a decision, and its subject is the holder of the grant.
    if (record.action !== 'end' && record.action !== 'downgraded') this.noteDecision(subject, record);
    try {
      this.dependencies.audit.write(subject, record);
    } catch (error) {
      this.dependencies.log.error(`the audit log cannot be written: ${(error as Error).message}`);
      throw brokerError('AuditFailed', 'write', 'the decision could not be recorded');
    }
  }

  /** The decision about the request that is running, for the log of requests. */
  noteDecision(subject: Subject, decision: Decision): void {
    this.dependencies.requestLog?.note(subject, decision);
  }

  /** Records an action that takes rights away, or has happened. It goes on when it cannot be recorded; record() logs the error. */
  recordIfPossible(subject: Subject, record: AuditRecord): void {
    try {
      this.record(subject, record);
    } catch {
      // record() has logged it.
    }
  }

  #recordEnd(grant: Grant, reason: string, { disabled, pending }: EndedGrant): void {
    const { uid } = grant.parts.subject;
    this.dependencies.log.debug(`grant ${grant.id} of uid ${uid} ended: ${reason}, after ${grant.ageSeconds} s`);
    this.recordIfPossible(grant.parts.subject, {
      action: 'end',
      verdict: 'allow',
      grant: grant.id,
      reason,
      disabled,
      ...(pending === 0 ? {} : { notYetDisabled: pending }),
      seconds: grant.ageSeconds,
    });
  }
}

function rateLimited({ uid }: UserId): BrokerError {
  return brokerError('RateLimited', 'requests', `uid ${uid} sends more requests than its rate allows`);
}

function shuttingDown(): BrokerError {
  return brokerError('Unavailable', 'shutting-down', 'the broker is shutting down');
}
