/** Grants from hand-over to end: their resources, the users that may see them, and the closing of everything once. */
import { randomBytes } from 'node:crypto';
import type { Subject } from '../../model/identity/subject.js';
import { Rollback } from '../../common/rollback.js';
import { MAX_TIMER_MS } from '../../common/timer.js';
import { DISCONNECT, native, READABLE, type Fd, type LaneUser, type Poller } from '../../native.js';
import { LANES, type Disabling, type Lanes } from './lanes.js';
import { RingWatch } from './ring_watch.js';
import { releaseTargets, targetName, type PinnedTarget } from '../processes/targets.js';
import { within } from '../ipc/within.js';

/** Resources of a grant until it ends. It owns the fds; the client has received duplicates. */
export interface GrantParts {
  readonly subject: Subject;
  /** Lane of the subject's user. It stays the same while the grant lives, so that its operations keep their order. */
  readonly lane: LaneUser;
  /** The connection; its end ends the grant. */
  readonly owner: object;
  readonly targets: readonly PinnedTarget[];
  readonly fds: readonly Fd[];
  readonly events: number;
  readonly ringBytes: number;
  readonly rule: string;
  /** 0: no limit. */
  readonly leaseSeconds: number;
  /** The events whose ring was mapped in advance, or the anchors of these rings. */
  readonly ringFds: readonly Fd[];
  /** Has the opener unmap the rings that it mapped in advance; called once at most. Resolves when they are unmapped. */
  readonly releaseRings: () => Promise<void>;
  /** Return the reserved quota; each is called once, when the fds or rings are closed. */
  readonly releaseQuota: () => void;
  readonly releaseRingQuota: () => void;
}

export type EndReason = 'connection' | 'lease' | 'target' | 'revoked' | 'shutdown';

export type GrantChange = 'added' | 'removed';

/** @param reason null: it was added */
export type GrantListener = (grant: Grant, change: GrantChange, reason: EndReason | null) => void;

export interface EndedGrant {
  readonly fds: number;
  /** Events that were disabled through the broker's fds. */
  readonly disabled: number;
  /** Events that the kernel disables when a client has released a lock that it needs. */
  readonly pending: number;
}

/** The operations on the fds of a grant that has ended. */
interface Closing {
  /** Null: the holder of the events keeps them enabled. */
  readonly disabling: Disabling | null;
  /** Resolves when the quota is returned, except for rings that are still mapped. */
  readonly closed: Promise<void>;
}

/** 96 random bits: no client can guess the id of another grant. */
export function newGrantId(): string {
  return randomBytes(12).toString('hex');
}

/** True when the text has the form of an id. */
export function isGrantId(text: string): boolean {
  return /^[0-9a-f]{24}$/.test(text);
}

export class Grant {
  readonly id: string;
  readonly parts: GrantParts;
  readonly #startedMs: number = performance.now();
  readonly #watchers: Poller[] = [];
  #liveProcesses: number;
  #lease: NodeJS.Timeout | undefined;
  #ringsReleased: Promise<void> | null = null;
  #endedMs: number | null = null;

  /** @param onDue called when the lease is over or the last target process has ended */
  constructor(id: string, parts: GrantParts, onDue: (grant: Grant, reason: EndReason) => void) {
    this.id = id;
    this.parts = parts;
    const processes = parts.targets.filter((target) => target.kind === 'process');
    this.#liveProcesses = processes.length === parts.targets.length ? processes.length : Infinity;
    if (this.#liveProcesses !== Infinity) this.#watch(processes, onDue);
    if (parts.leaseSeconds > 0) this.#awaitLease(onDue);
  }

  #awaitLease(onDue: (grant: Grant, reason: EndReason) => void): void {
    const left = this.#startedMs + this.parts.leaseSeconds * 1000 - performance.now();
    if (left <= 0) return onDue(this, 'lease');
    this.#lease = setTimeout(() => this.#awaitLease(onDue), Math.min(Math.ceil(left), MAX_TIMER_MS));
  }

  #watch(processes: readonly { readonly fd: Fd }[], onDue: (grant: Grant, reason: EndReason) => void): void {
    using watchers = new Rollback(() => {
      for (const watcher of this.#watchers) watcher.close();
    });
    for (const { fd } of processes) {
      const watcher = native.createPoller(fd, () => {
        watcher.close();
        this.#liveProcesses -= 1;
        if (this.#liveProcesses === 0) onDue(this, 'target');
      });
      this.#watchers.push(watcher);
      watcher.start(READABLE | DISCONNECT);
    }
    watchers.keep();
  }

  get ageSeconds(): number {
    return Math.floor(((this.#endedMs ?? performance.now()) - this.#startedMs) / 1000);
  }

  get targetNames(): string[] {
    return this.parts.targets.map(targetName);
  }

  /** True until its holder has mapped the rings that the opener mapped in advance, which end with the opener. */
  get awaitsMapping(): boolean {
    return this.parts.ringFds.length > 0 && this.#ringsReleased === null;
  }

  releaseRings(): Promise<void> {
    return (this.#ringsReleased ??= this.parts.releaseRings());
  }

  /** Closes all resources, without waiting for it; called once, by {@link Grants.end}. */
  close(disable: boolean, lanes: Pick<Lanes, 'close' | 'disable'>, rings: RingWatch): Closing {
    this.#endedMs = performance.now();
    clearTimeout(this.#lease);
    for (const watcher of this.#watchers) watcher.close();
    const { lane, fds, ringFds, targets, releaseQuota, releaseRingQuota: release } = this.parts;
    const disabling = disable ? lanes.disable(lane, fds) : null;
    const kept = new Set(ringFds);
    const rest = fds.filter((fd) => !kept.has(fd));
    const closed = lanes.close(lane, rest).then(() => {
      releaseQuota();
      if (kept.size === 0) release();
    });
    if (kept.size > 0) void rings.addAfter(this.releaseRings(), { lane, fds: ringFds, release });
    releaseTargets(targets);
    return { disabling, closed };
  }
}

/** Longest wait for the events to be disabled and closed, before the end is answered and recorded. 10,000 of them take less. */
const KNOWN_MS = 1000;

/** Watches of one user at a time. */
export const MAX_WATCHES = 4;

export class Grants {
  readonly #grants = new Map<string, Grant>();
  readonly #lanes: Lanes;
  readonly #rings: RingWatch;
  /** Each reports the end of a grant whose events are being disabled. */
  readonly #unreported = new Set<() => EndedGrant>();
  /** The user of each. */
  readonly #listeners = new Map<GrantListener, number>();
  readonly #onEnd: (grant: Grant, reason: EndReason, ended: EndedGrant) => void;
  /** Called after a grant was added or has ended. */
  onChange: () => void = () => undefined;

  /** @param onEnd called once for each grant, when its events are disabled, or a second after its end */
  constructor(onEnd: (grant: Grant, reason: EndReason, ended: EndedGrant) => void, lanes: Lanes = LANES) {
    this.#onEnd = onEnd;
    this.#lanes = lanes;
    this.#rings = new RingWatch(lanes);
  }

  /** See {@link Grant.awaitsMapping}. */
  get awaitMapping(): boolean {
    return [...this.#grants.values()].some(({ awaitsMapping }) => awaitsMapping);
  }

  get size(): number {
    return this.#grants.size;
  }

  has(id: string): boolean {
    return this.#grants.has(id);
  }

  /** True while rings of ended grants still count against their users' quotas. */
  get watchesRings(): boolean {
    return this.#rings.size > 0;
  }

  add(id: string, parts: GrantParts): Grant {
    const grant = new Grant(id, parts, (due, reason) => void this.end(due, reason));
    this.#grants.set(grant.id, grant);
    this.#changed(grant, 'added', null);
    return grant;
  }

  /** The grant, if `uid` owns it or `administrator` is set. Null also for other users' grants, which must not show. */
  find(id: string, uid: number, administrator: boolean): Grant | null {
    const grant = this.#grants.get(id);
    return grant !== undefined && (administrator || grant.parts.subject.uid === uid) ? grant : null;
  }

  list(uid: number | 'all'): Grant[] {
    return [...this.#grants.values()].filter((grant) => uid === 'all' || grant.parts.subject.uid === uid);
  }

  /**
   * Ends a grant at once; a second call does nothing. Only a revoke and the end of a lease disable events that a holder still reads.
   * @returns the state when the events are disabled and the quota is returned, or after a second
   */
  async end(grant: Grant, reason: EndReason): Promise<EndedGrant> {
    if (!this.#grants.delete(grant.id)) return { fds: 0, disabled: 0, pending: 0 };
    const { disabling, closed } = grant.close(reason === 'revoked' || reason === 'lease', this.#lanes, this.#rings);
    const report = (): EndedGrant => {
      const known = disabling?.progress() ?? { disabled: 0, pending: 0 };
      const ended = { fds: grant.parts.fds.length, ...known };
      if (this.#unreported.delete(report)) this.#onEnd(grant, reason, ended);
      return ended;
    };
    this.#unreported.add(report);
    if (disabling === null) report();
    else void disabling.done.then(report);
    this.#changed(grant, 'removed', reason);
    await within(Promise.all([disabling?.done, closed]), KNOWN_MS);
    return report();
  }

  /**
   * @param uid the watching user. Its watches are limited: each change waits in the queues of all watchers until it is read
   * @returns a function that ends the watch; null when this user has {@link MAX_WATCHES} already
   */
  watch(uid: number, listener: GrantListener): (() => void) | null {
    if ([...this.#listeners.values()].filter((other) => other === uid).length >= MAX_WATCHES) return null;
    this.#listeners.set(listener, uid);
    return () => this.#listeners.delete(listener);
  }

  #changed(grant: Grant, change: GrantChange, reason: EndReason | null): void {
    this.onChange();
    for (const listener of [...this.#listeners.keys()]) listener(grant, change, reason);
  }

  endOwnedBy(owner: object, reason: EndReason): void {
    for (const grant of [...this.#grants.values()]) if (grant.parts.owner === owner) void this.end(grant, reason);
  }

  endAll(reason: EndReason): void {
    for (const grant of [...this.#grants.values()]) void this.end(grant, reason);
    // The process may end now.
    for (const report of [...this.#unreported]) report();
  }
}
