/** A broker without helper processes, for tests of methods: its quotas, grants and tickets are real, and so are the fds. */
import { openSync, readdirSync, readlinkSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import type { AuditRecord } from '#dist/broker/audit/audit_record.js';
import { Work } from '#dist/broker/fairness/work.js';
import { Grants } from '#dist/broker/grants/grants.js';
import { PremapLimit } from '#dist/broker/grants/premap_limit.js';
import { Tickets } from '#dist/broker/grants/tickets.js';
import type { Answer, Question } from '#dist/broker/ipc/authorizer.js';
import type { LockScope } from '#dist/broker/ipc/lock_scope.js';
import type { OpenReply } from '#dist/broker/ipc/opener.js';
import type { OpenerRequest, OpenerStatus } from '#dist/broker/ipc/opener_protocol.js';
import type { DowngradeReply } from '#dist/broker/ipc/tracer.js';
import type { TracerRequest } from '#dist/broker/ipc/tracer_protocol.js';
import type { MethodsContext } from '#dist/broker/methods/dispatch.js';
import type { Client, Reply, WorkCall } from '#dist/broker/methods/request/context.js';
import type { Peer } from '#dist/broker/processes/peer.js';
import { readCaller } from '#dist/broker/processes/proc.js';
import { BrokerError } from '#dist/model/errors/errors.js';
import type { EventSpec } from '#dist/model/event.js';
import { eventsFromJson } from '#dist/interfaces/event_json.js';
import type { Subject } from '#dist/model/identity/subject.js';
import { SubordinateUids } from '#dist/model/identity/subordinate_uids.js';
import { native, OWN_LANE, type Fd, type LaneUser } from '#dist/native.js';
import { parsePolicy } from '#dist/policy/load/parse.js';
import { Quota } from '#dist/policy/quota/quota.js';
import type { Policy } from '#dist/policy/types.js';
import { FdBag } from '#dist/varlink/fd_bag.js';

export const FRONT_END = 4242;

/** Fds of the kinds that a fake opens or a request brings along. Others belong to node. */
export function openFds(): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return /^(\/dev\/null|anon_inode:\[pidfd\]|pidfd:\[\d+\])$/.test(readlinkSync(`/proc/self/fd/${fd}`));
    } catch {
      return false; // the one that readdir had
    }
  }).length;
}

/** As openFds, when everything that was closed in a lane is closed. */
export async function settledFds(): Promise<number> {
  for (const lane of [OWN_LANE, peerOf().subject.uid]) await laneIsEmpty(lane);
  return openFds();
}

/** The test itself as the client. It is its own target also. */
export function peerOf(changes: Partial<Subject> = {}): Peer {
  const facts = readCaller(process.pid);
  if (facts === null) throw new Error('this process has ended');
  const { pid, startTime, permitted, sameUserNamespace, cgroup, executable } = facts;
  const ids = { uid: facts.uids[0], gid: facts.gids[0], groups: facts.groups };
  const identity = { pid, startTime, permitted, sameUserNamespace, cgroup, executable };
  const subject = {
    ...ids,
    ...identity,
    mayBeMany: false,
    asConnected: true,
    ownIds: true,
    dumpable: true,
    ...changes,
  };
  return { subject, samePidNamespace: true };
}

/** One rule, for everyone and everyone's own processes. */
export function policyOf(verdict: 'allow' | 'ask' | 'deny', more = ''): Policy {
  const text = `[[rule]]
name = "own"
verdict = "${verdict}"
subjects = { everyone = true }
targets = { same_user = true }
classes = ["user"]
mode = ["counting", "sampling", "downgrade"]
${more}
`;
  return parsePolicy([{ file: 'policy.toml', text }]);
}

export class FakeClient implements Client {
  readonly peer: Peer;
  readonly #gone = new AbortController();

  constructor(peer: Peer = peerOf()) {
    this.peer = peer;
  }

  get subject(): Subject {
    return this.peer.subject;
  }

  get closed(): boolean {
    return this.#gone.signal.aborted;
  }

  disconnect(): void {
    this.#gone.abort();
  }

  requireConnected(): void {
    if (this.closed)
      throw new BrokerError('TargetGone', 'client-gone', 'the caller has disconnected', { cause: '', remedy: '' });
  }

  watchHangup(): AbortSignal {
    return this.#gone.signal;
  }

  withSocket<T>(_: number, use: (socket: Fd) => Promise<T>): Promise<T> {
    this.requireConnected();
    return use(0);
  }
}

export interface OpenedRequest {
  readonly request: Omit<OpenerRequest, 'serial'>;
  readonly scope: LockScope;
}

interface OpenerOutcome {
  readonly status?: OpenerStatus;
  readonly detail?: number;
  /** Errno of the slot of this index. */
  readonly errno?: (slot: number) => number;
}

/** Opens /dev/null for each slot, unless `onOpen` returns another outcome. */
export class FakeOpener {
  readonly scopes: (readonly LockScope[])[] = [];
  readonly requests: OpenedRequest[] = [];
  readonly releasedRings: number[] = [];
  done = 0;
  released = 0;
  /** Called for each request, with its number from 0. */
  onOpen: (request: number) => OpenerOutcome | Promise<OpenerOutcome> = () => ({});

  readonly begin = (_: number, scopes: readonly LockScope[]) => {
    this.scopes.push(scopes);
    return Promise.resolve({
      open: (request: Omit<OpenerRequest, 'serial'>, scope: LockScope) => this.#open(request, scope),
      releaseRings: (serial: number) => {
        this.releasedRings.push(serial);
        return Promise.resolve();
      },
      done: () => void (this.done += 1),
      release: () => {
        this.released += 1;
        return Promise.resolve();
      },
    });
  };

  async #open(request: Omit<OpenerRequest, 'serial'>, scope: LockScope): Promise<OpenReply> {
    this.requests.push({ request, scope });
    const serial = this.requests.length;
    const { status = 'opened', detail = 0, errno = () => 0 } = await this.onOpen(serial - 1);
    const slotErrnos = request.slots.map((_, slot) => errno(slot));
    const fds =
      status === 'opened' ? slotErrnos.filter((each) => each === 0).map(() => openSync('/dev/null', 'r')) : [];
    return { reply: { serial, status, detail, fdCount: fds.length, slotErrnos }, fds, serial };
  }
}

export const DOWNGRADED: DowngradeReply = {
  status: 'downgraded',
  detail: 0,
  tid: 0,
  stoppedMicroseconds: 1,
  threads: [],
};

export class FakeTracer {
  /** Whose turn each request took. */
  readonly users: LaneUser[] = [];
  readonly requests: { readonly pid: number; readonly dryRun: boolean }[] = [];
  onDowngrade: (request: number) => DowngradeReply | Promise<DowngradeReply> = () => DOWNGRADED;
  onLate: ((reply: DowngradeReply) => void) | null = null;

  readonly downgrade = async (
    { user }: { readonly user: LaneUser },
    { expected, dryRun }: TracerRequest,
    _socket: Fd,
    _pidfd: Fd,
    onLate: (reply: DowngradeReply) => void,
  ): Promise<DowngradeReply> => {
    this.users.push(user);
    this.requests.push({ pid: (expected as unknown as { pid: number }).pid, dryRun });
    this.onLate = onLate;
    return this.onDowngrade(this.requests.length - 1);
  };
}

export class FakeAuthorizer {
  readonly questions: Question[] = [];
  onAsk: (question: Question) => Answer | Promise<Answer> = () => ({ kind: 'authorized', detail: '' });

  readonly ask = async (question: Question): Promise<Answer> => {
    this.questions.push(question);
    return this.onAsk(question);
  };
}

export class FakeBroker implements MethodsContext {
  readonly records: AuditRecord[] = [];
  readonly quota: Quota = new Quota();
  readonly premapLimit: PremapLimit = new PremapLimit();
  readonly ringAnchors = { needed: false, attach: () => Promise.resolve([]) };
  readonly grants: Grants = new Grants(() => undefined);
  readonly tickets: Tickets = new Tickets();
  readonly opener: FakeOpener = new FakeOpener();
  readonly tracer: FakeTracer = new FakeTracer();
  readonly authorizer: FakeAuthorizer = new FakeAuthorizer();
  readonly charged: [uid: number, cost: number][] = [];
  onlineCpus: readonly number[] = [0, 1];
  /** Thrown by `record`. */
  auditFault: Error | null = null;
  phase: 'serving' | 'draining' | 'stopping' = 'serving';
  policy: Policy;

  constructor(t: ExecutionContext, policy: Policy = policyOf('allow')) {
    this.policy = policy;
    t.teardown(() => {
      this.grants.endAll('shutdown');
      this.tickets.clear();
    });
  }

  readonly dependencies: MethodsContext['dependencies'] = {
    machine: {
      kernel: '6.12',
      paranoid: 3,
      maxSampleRate: 1000,
      onlineCpus: () => this.onlineCpus,
      pmus: new Map([['software', 1]]),
    },
    tracepoints: { id: () => null, size: 0 },
    ceiling: ['user'],
    capability: 'CAP_PERFMON',
    opener: this.opener,
    tracer: this.tracer,
    authorizer: this.authorizer,
    subordinateUids: new SubordinateUids(),
  };

  readonly record = (subject: Subject, record: AuditRecord): void => {
    if (this.auditFault !== null) throw this.auditFault;
    this.records.push({ ...record, by: subject.pid });
  };

  readonly recordIfPossible = (subject: Subject, record: AuditRecord): void => {
    this.records.push({ ...record, by: subject.pid });
  };

  readonly isFrontEnd = ({ uid }: { readonly uid: number }): boolean => uid === FRONT_END;
  readonly charge = ({ uid }: { readonly uid: number }, cost: number): void => void this.charged.push([uid, cost]);
  readonly admitSender = this.charge;
  readonly noteDecision = (): void => undefined;
  readonly requireTickets = (): void => {
    if (this.phase !== 'serving') throw new Error('no tickets while the broker ends');
  };
  readonly run = (request: () => Promise<void>): Promise<void> => request();

  readonly beginWork = (): Work => newWork(new FakeClient());

  /** Summaries of the records: `open deny`. */
  get said(): readonly string[] {
    return this.records.map(({ action, verdict }) => `${action} ${verdict}`);
  }
}

export function newWork(client: Client, paidBy: [uid: number, tokens: number][] = []): Work {
  const work = new Work({
    client,
    rates: { chargeMs: () => undefined, tokenMs: 1, userOf: (uid) => uid },
    turns: { next: () => Promise.resolve() },
    clocks: { now: () => 0, cpu: () => 0 },
  });
  const payBy = work.payBy.bind(work);
  return Object.assign(work, {
    payBy: (uid: number, tokens: number) => {
      paidBy.push([uid, tokens]);
      payBy(uid, tokens);
    },
  });
}

export function callOf(client: Client, parameters: object, fds: readonly Fd[] = [], more = false): WorkCall {
  return {
    method: 'org.perfbroker.Broker.Test',
    parameters: parameters as Record<string, unknown>,
    fds: new FdBag(fds),
    more,
    oneway: false,
    context: client,
    work: newWork(client),
  };
}

export class FakeReply implements Reply {
  readonly replies: object[] = [];
  readonly lent: Fd[] = [];

  reply(parameters: object): boolean {
    this.replies.push(parameters);
    return true;
  }

  continue(parameters: object): boolean {
    return this.reply(parameters);
  }

  lend(parameters: object, fds: readonly Fd[]): boolean {
    this.lent.push(...fds);
    return this.reply(parameters);
  }
}

/** Resolves when everything that was closed in the lane of this user is closed. No lane keeps the event loop alive, so a timer does. */
function laneIsEmpty(uid: number): Promise<void> {
  const alive = setInterval(() => undefined, 1000);
  return new Promise((resolve) =>
    native.closeInLane(uid, [], () => {
      clearInterval(alive);
      setImmediate(resolve);
    }),
  );
}

export const CLOCK = { source: { kind: 'software', name: 'cpu-clock' }, exclude: ['kernel'] };

export function specOf(source: object = CLOCK.source, more: object = {}): EventSpec {
  const [spec] = eventsFromJson([{ source, exclude: ['kernel'], ...more }] as never);
  if (spec === undefined) throw new Error('no event');
  return spec;
}
