/** Grants from hand-over to end: what the broker keeps of each, who may see it, and that everything is closed once. */
import { randomBytes } from 'node:crypto';
import type { Subject } from '../model/subject.js';
import { MAX_TIMER_MS } from '../model/timer.js';
import { DISCONNECT, native, READABLE, type Fd, type Poller } from '../native.js';
import { RingWatch } from './ring_watch.js';
import { releaseTargets, targetName, type PinnedTarget } from './targets.js';

/** What a grant holds until it ends. The fds are the broker's own duplicates of what the client was given. */
export interface GrantParts {
  readonly subject: Subject;
  /** Whose closing ends the grant. */
  readonly owner: object;
  readonly targets: readonly PinnedTarget[];
  readonly fds: readonly Fd[];
  readonly events: number;
  readonly ringBytes: number;
  readonly rule: string;
  /** 0: no end. */
  readonly leaseSeconds: number;
  /** Of `fds` those whose ring was mapped in advance, and its data pages. */
  readonly ringFds: readonly Fd[];
  readonly ringPages: number;
  /** Lets go of the rings that the opener mapped in advance; called at most once. Resolved when it has. */
  readonly releaseRings: () => Promise<void>;
  /** Give the user's shares back; called once each. */
  readonly releaseQuota: () => void;
  readonly releaseRingQuota: () => void;
}

export type EndReason = 'connection' | 'lease' | 'target' | 'revoked' | 'shutdown';

export type GrantChange = 'added' | 'removed';

/** @param reason why it was removed */
export type GrantListener = (grant: Grant, change: GrantChange, reason: EndReason | null) => void;

export interface EndedGrant {
  readonly fds: number;
  /** Events that were disabled through the broker's fds. */
  readonly disabled: number;
}

/** 96 random bits: nobody guesses another's. */
export function newGrantId(): string {
  return randomBytes(12).toString('hex');
}

/** Whether there could ever be a grant of this id. */
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
    try {
      for (const { fd } of processes) {
        const watcher = native.createPoller(fd, () => {
          watcher.close();
          this.#liveProcesses -= 1;
          if (this.#liveProcesses === 0) onDue(this, 'target');
        });
        this.#watchers.push(watcher);
        watcher.start(READABLE | DISCONNECT);
      }
    } catch (error) {
      for (const watcher of this.#watchers) watcher.close();
      throw error;
    }
  }

  get ageSeconds(): number {
    return Math.floor((performance.now() - this.#startedMs) / 1000);
  }

  get targetNames(): string[] {
    return this.parts.targets.map(targetName);
  }

  /** Whether its holder has yet to map the rings that the opener mapped in advance, which end with the opener. */
  get awaitsMapping(): boolean {
    return this.parts.ringFds.length > 0 && this.#ringsReleased === null;
  }

  releaseRings(): Promise<void> {
    return (this.#ringsReleased ??= this.parts.releaseRings());
  }

  /** Closes everything that is held; called once, by {@link Grants.end}. */
  close(disable: boolean, rings: RingWatch): EndedGrant {
    clearTimeout(this.#lease);
    for (const watcher of this.#watchers) watcher.close();
    const { fds, ringFds, ringPages: pages, targets, releaseQuota, releaseRingQuota: release } = this.parts;
    const kept = new Set(ringFds);
    let disabled = 0;
    for (const fd of fds) {
      if (disable && disableEvent(fd)) disabled += 1;
      if (!kept.has(fd)) native.close(fd);
    }
    releaseTargets(targets);
    releaseQuota();
    if (kept.size === 0) release();
    else void rings.addAfter(this.releaseRings(), { fds: ringFds, pages, release });
    return { fds: this.parts.fds.length, disabled };
  }
}

/** An event whose task has ended cannot be disabled and need not be. */
function disableEvent(fd: Fd): boolean {
  try {
    native.perfDisable(fd);
    return true;
  } catch {
    return false;
  }
}

/** Of one user at a time. */
export const MAX_WATCHES = 4;

export class Grants {
  readonly #grants = new Map<string, Grant>();
  readonly #rings = new RingWatch();
  /** Whose each is. */
  readonly #listeners = new Map<GrantListener, number>();
  readonly #onEnd: (grant: Grant, reason: EndReason, ended: EndedGrant) => void;
  /** Called after a grant was added or has ended; for what shows how many there are. */
  onChange: () => void = () => undefined;

  constructor(onEnd: (grant: Grant, reason: EndReason, ended: EndedGrant) => void) {
    this.#onEnd = onEnd;
  }

  /** See {@link Grant.awaitsMapping}. */
  get awaitMapping(): boolean {
    return [...this.#grants.values()].some(({ awaitsMapping }) => awaitsMapping);
  }

  get size(): number {
    return this.#grants.size;
  }

  /** Whether rings of grants that have ended still count for their users. */
  get watchesRings(): boolean {
    return this.#rings.size > 0;
  }

  add(id: string, parts: GrantParts): Grant {
    const grant = new Grant(id, parts, (due, reason) => this.end(due, reason));
    this.#grants.set(grant.id, grant);
    this.#changed(grant, 'added', null);
    return grant;
  }

  /** The grant when it exists and `uid` owns it or `administrator` is set; nobody learns of other users' grants. */
  find(id: string, uid: number, administrator: boolean): Grant | null {
    const grant = this.#grants.get(id);
    return grant !== undefined && (administrator || grant.parts.subject.uid === uid) ? grant : null;
  }

  list(uid: number | 'all'): Grant[] {
    return [...this.#grants.values()].filter((grant) => uid === 'all' || grant.parts.subject.uid === uid);
  }

  /** Ends a grant; a second call finds nothing to do. Only a revoke and the end of a lease stop events that a holder still reads. */
  end(grant: Grant, reason: EndReason): EndedGrant {
    if (!this.#grants.delete(grant.id)) return { fds: 0, disabled: 0 };
    const ended = grant.close(reason === 'revoked' || reason === 'lease', this.#rings);
    this.#onEnd(grant, reason, ended);
    this.#changed(grant, 'removed', reason);
    return ended;
  }

  /**
   * @param uid who watches: each change waits in the queues of all watchers until it is read
   * @returns ends it; null when this user watches MAX_WATCHES times already
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
    for (const grant of [...this.#grants.values()]) if (grant.parts.owner === owner) this.end(grant, reason);
  }

  endAll(reason: EndReason): void {
    for (const grant of [...this.#grants.values()]) this.end(grant, reason);
  }
}
