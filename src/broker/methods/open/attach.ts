/** Carries out what policy has allowed: has the opener open every slot, in as many messages as that takes. */
import { constants } from 'node:os';
import { brokerError } from '../../../model/errors/error_table.js';
import { kernelRefused } from '../../../model/errors/kernel_refused.js';
import { EVENT_CLASSES } from '../../../model/event.js';
import type { EventFields } from '../../../model/events/event_fields.js';
import type { SubordinateUids } from '../../../model/identity/subordinate_uids.js';
import { native, type Fd, type LaneUser } from '../../../native.js';
import type { LockScope } from '../../ipc/lock_scope.js';
import { lockScopeOf } from '../../processes/lock_scope.js';
import type { OpenerClient, OpenerSession } from '../../ipc/opener.js';
import { mismatchNames, NO_LEADER, type OpenerReply, type OpenerSlot } from '../../ipc/opener_protocol.js';
import { planSlots, type RingSlots } from './plan.js';
import { anchorFields, type RingAnchors } from '../../grants/ring_anchors.js';
import type { QuotaReservation } from '../../grants/reservation.js';
import { readThreads } from '../../processes/proc.js';
import { within } from '../../ipc/within.js';
import { targetChanged, type PinnedTarget, type ProcessTarget } from '../../processes/targets.js';

export interface OpenOrder {
  /** Whose turn it takes at the opener, and where fds of events are closed. */
  readonly user: LaneUser;
  /** By which the owners of targets are known. */
  readonly users: Pick<SubordinateUids, 'userOf'>;
  /** The client's socket: the opener asks it who the client is. */
  readonly connection: Fd;
  readonly targets: readonly PinnedTarget[];
  readonly events: readonly EventFields[];
  /** Their names, for texts. */
  readonly eventNames: readonly string[];
  readonly leaders: readonly (number | undefined)[];
  /** Some event is inherited by threads and children born later. */
  readonly inherit: boolean;
  /** cpus, or [-1] for any. */
  readonly cpus: readonly number[];
  readonly ringPages: number;
  readonly ringSlots: RingSlots;
  /** For the text of the kernel's refusals. */
  readonly kernel: { readonly paranoid: number; readonly capability: string };
  readonly ringAnchors: RingAnchors;
  /** More fds than that are never opened. */
  readonly maxFds: number;
  /** Covers what was there when the request was looked at; grows with threads that are born. */
  readonly reservation: QuotaReservation;
}

export interface OpenedSlot {
  readonly fd: Fd;
  readonly event: number;
  readonly target: number;
  readonly tid: number;
  readonly cpu: number;
  /** Its ring was mapped in advance. */
  readonly ring: boolean;
  /** An event of the broker's own that has this ring as long as it is mapped anywhere; null where there is none. */
  readonly anchor: Fd | null;
}

/** Everything that was opened. The fds belong to the caller. */
export interface OpenedEvents {
  readonly slots: readonly OpenedSlot[];
  /** Lets the opener unmap the rings; resolved when it has. */
  readonly releaseRings: () => Promise<void>;
  /** Threads were still being born when the last scan ended. */
  readonly unstable: boolean;
}

/** There is no such thread any more. */
const { ESRCH } = constants.errno;

/** For what takes the kernel microseconds. Less than the time that clients wait for an answer. */
const KEEP_MS = 10_000;

/** Scans of the thread list before the attach is taken as it is. */
const MAX_SCANS = 8;

export async function openEvents(opener: OpenerClient, order: OpenOrder): Promise<OpenedEvents> {
  const scopes = order.targets.map((target) => lockScopeOf(target, order.cpus, order.users));
  const session = await opener.begin(order.user, scopes);
  const attach = new Attach(session, order);
  try {
    for (const [index, target] of order.targets.entries()) await attach.target(index, target);
    return attach.result();
  } catch (error) {
    attach.closeSlots(0);
    order.reservation.awaitRings(session.release());
    throw error;
  }
}

/** Fds that an order is going to open, as far as can be told now. */
export function countFds(targets: readonly PinnedTarget[], events: number, cpus: number): number {
  let tasks = 0;
  for (const target of targets) tasks += target.kind === 'process' && target.tid === null ? target.process.threads : 1;
  return tasks * events * cpus;
}

interface RingRecord {
  readonly serial: number;
  readonly cpus: readonly number[];
  readonly scope: LockScope;
}

class Attach {
  readonly #session: OpenerSession;
  readonly #order: OpenOrder;
  readonly #slots: OpenedSlot[] = [];
  readonly #rings: RingRecord[] = [];
  readonly #cpusWithRing = new Set<number>();
  #unstable = false;

  constructor(session: OpenerSession, order: OpenOrder) {
    this.#session = session;
    this.#order = order;
  }

  async target(index: number, target: PinnedTarget): Promise<void> {
    if (target.kind !== 'process') return this.#open(index, target, [-1]);
    if (target.tid !== null) return this.#open(index, target, [target.tid]);
    return this.#order.inherit ? this.#allInherited(index, target) : this.#allThreads(index, target);
  }

  /** Threads found by a later scan are added until a scan finds none. */
  async #allThreads(index: number, target: ProcessTarget): Promise<void> {
    const known = new Set<number>();
    for (let scan = 0; ; scan++) {
      const fresh = threadsOf(target).filter((tid) => !known.has(tid));
      if (fresh.length === 0) return;
      if (scan === MAX_SCANS) {
        this.#unstable = true;
        return;
      }
      for (const tid of fresh) known.add(tid);
      await this.#open(index, target, fresh);
    }
  }

  /**
   * With inherit a thread that a scan finds anew may have its events already, from the thread that created it, or not,
   * when its creator had none yet; it can not be told. So an attach counts only when no thread appeared during it;
   * else everything is closed and opened again.
   */
  async #allInherited(index: number, target: ProcessTarget): Promise<void> {
    const before = { slots: this.#slots.length, rings: this.#rings.length };
    for (let scan = 0; ; scan++) {
      const tids = threadsOf(target);
      await this.#open(index, target, tids);
      const known = new Set(tids);
      if (threadsOf(target).every((tid) => known.has(tid))) return;
      if (scan === MAX_SCANS) {
        this.#unstable = true;
        return;
      }
      await this.#discard(before);
    }
  }

  async #open(index: number, target: PinnedTarget, tids: readonly number[]): Promise<void> {
    const order = this.#order;
    const wanted = tids.length * order.cpus.length * order.events.length;
    // Once, and not in the loop: the slots that a message has opened are among these.
    const needed = this.#slots.length + wanted;
    if (needed > order.maxFds)
      throw brokerError('QuotaExceeded', 'fds', `the request needs ${needed} fds; ${order.maxFds} are allowed`);
    for (const slots of planSlots(order.leaders, tids, order.cpus, order.ringSlots, this.#cpusWithRing)) {
      const premapped = slots.filter((slot) => slot.premap);
      const rings = this.#rings.reduce((sum, { cpus }) => sum + cpus.length, premapped.length);
      order.reservation.growTo({ fds: needed, rings });
      const scope = scopeOfSlots(target, slots, order);
      const { reply, fds, serial } = await this.#session.open(
        {
          target: target.kind,
          expected: target.kind === 'process' ? target.process : null,
          events: order.events,
          slots,
          ringPages: premapped.length > 0 ? order.ringPages : 0,
        },
        scope,
        order.connection,
        target.fd,
      );
      // Threads come and go: that all of these have gone is no refusal, and whether any is left shows in the end.
      if (reply.status === 'open-failed' && reply.slotErrnos.every((errno) => errno === ESRCH)) {
        for (const { cpu } of premapped) this.#cpusWithRing.delete(cpu);
        continue;
      }
      if (reply.status !== 'opened') throw refusal(reply, target, order, slots);
      if (premapped.length > 0) this.#rings.push({ serial, cpus: premapped.map((slot) => slot.cpu), scope });
      const opened = slots.filter((_, slot) => reply.slotErrnos[slot] === 0);
      const first = this.#slots.length;
      for (const [slot, fd] of fds.entries()) this.#keep(fd, index, opened[slot]);
      if (premapped.length > 0 && order.ringAnchors.needed) await this.#keepRings(target, first);
    }
  }

  /** Of the slots from `first` on. A slot whose ring can not be kept is let go of: its thread has ended. */
  async #keepRings(target: PinnedTarget, first: number): Promise<void> {
    const order = this.#order;
    const ringed = this.#slots.slice(first).filter(({ ring }) => ring);
    if (ringed.length === 0) return;
    const slots = ringed.map(({ event, tid, cpu }) => ({ tid, cpu, event, leader: NO_LEADER, premap: false }));
    const { reply, fds } = await this.#session.open(
      {
        target: target.kind,
        expected: target.kind === 'process' ? target.process : null,
        events: order.events.map(anchorFields),
        slots,
        ringPages: 0,
      },
      scopeOfSlots(target, slots, order),
      order.connection,
      target.fd,
    );
    const gone = reply.status === 'open-failed' && reply.slotErrnos.every((errno) => errno === ESRCH);
    if (reply.status !== 'opened' && !gone) throw refusal(reply, target, order, slots);
    const opened = ringed.filter((_, index) => reply.slotErrnos[index] === 0);
    const anchors = fds.slice(0, opened.length);
    const rings = opened.map(({ fd }) => fd);
    const kept = await this.#attach(anchors, rings);
    const anchorOf = new Map(opened.map((slot, index) => [slot, kept[index] === true ? anchors[index] : undefined]));
    const unused = fds.filter((_, index) => kept[index] !== true);
    for (const slot of ringed) {
      const at = this.#slots.indexOf(slot);
      const anchor = anchorOf.get(slot);
      if (anchor !== undefined) {
        this.#slots[at] = { ...slot, anchor };
        continue;
      }
      unused.push(slot.fd);
      this.#slots.splice(at, 1);
      this.#cpusWithRing.delete(slot.cpu);
    }
    this.#close(unused);
  }

  /** A target whose perf context is held keeps this waiting in its lane; the request does not wait for ever with it. */
  async #attach(anchors: readonly Fd[], rings: readonly Fd[]): Promise<readonly boolean[]> {
    const { user, ringAnchors, ringPages } = this.#order;
    const kept = await within(ringAnchors.attach(user, anchors, rings, ringPages), KEEP_MS);
    if (kept !== null) return kept;
    this.#close(anchors);
    throw brokerError('Unavailable', 'context-held', `the rings could not be set up within ${KEEP_MS / 1000} s`);
  }

  #close(fds: readonly Fd[]): void {
    native.closeInLane(this.#order.user, fds, null);
  }

  #keep(fd: Fd, target: number, slot: OpenerSlot | undefined): void {
    if (slot === undefined) this.#close([fd]);
    else
      this.#slots.push({
        fd,
        event: slot.event,
        target,
        tid: slot.tid,
        cpu: slot.cpu,
        ring: slot.premap,
        anchor: null,
      });
  }

  /** Closes the slots opened since `mark`, and has their rings unmapped. */
  async #discard(mark: { readonly slots: number; readonly rings: number }): Promise<void> {
    this.closeSlots(mark.slots);
    for (const ring of this.#rings.splice(mark.rings)) {
      for (const cpu of ring.cpus) this.#cpusWithRing.delete(cpu);
      await this.#session.releaseRings(ring.serial, ring.scope);
    }
  }

  closeSlots(from: number): void {
    this.#close(this.#slots.splice(from).flatMap(fdsOfSlot));
  }

  result(): OpenedEvents {
    const session = this.#session;
    // A worker without rings has nothing to wait for.
    const released = this.#rings.length === 0 ? session.release() : null;
    session.done();
    return {
      slots: this.#slots,
      releaseRings: () => released ?? session.release(),
      unstable: this.#unstable,
    };
  }
}

function scopeOfSlots(target: PinnedTarget, slots: readonly OpenerSlot[], { users }: OpenOrder): LockScope {
  return lockScopeOf(
    target,
    slots.map(({ cpu }) => cpu),
    users,
  );
}

export function fdsOfSlot({ fd, anchor }: OpenedSlot): readonly Fd[] {
  return anchor === null ? [fd] : [fd, anchor];
}

function threadsOf(target: ProcessTarget): readonly number[] {
  const tids = readThreads(target.process.pid);
  if (tids === null || !native.pidfdAlive(target.fd))
    throw brokerError('TargetGone', 'exited', `process ${target.process.pid} has ended`);
  return tids;
}

/** The error for a reply that is not `opened`; every status has one. */
function refusal(reply: OpenerReply, target: PinnedTarget, order: OpenOrder, slots: readonly OpenerSlot[]): Error {
  const who = target.kind === 'process' ? `process ${target.process.pid}` : target.kind;
  const mismatch = mismatchNames(reply.detail);
  switch (reply.status) {
    case 'ceiling': {
      const missing = EVENT_CLASSES.filter((_, bit) => ((reply.detail >> bit) & 1) === 1);
      return brokerError(
        'CeilingExceeded',
        missing[0] ?? 'user',
        `the ceiling of this daemon has no ${missing.join(', ')}`,
      );
    }
    case 'not-same-user':
      return brokerError(
        'CeilingExceeded',
        'other-users',
        `the caller itself could not read ${who} (${mismatch.join(', ')}), and the ceiling has no other-users`,
      );
    case 'target-gone':
      return brokerError('TargetGone', 'exited', `${who} ended meanwhile`);
    case 'target-changed':
      return targetChanged(who, mismatch);
    case 'open-failed': {
      const slot = reply.slotErrnos.findIndex((errno) => errno !== 0);
      const what = `${order.eventNames[slots[slot]?.event ?? -1] ?? 'an event'} of ${who}`;
      return kernelRefused(reply.slotErrnos[slot] ?? 0, { what, call: 'perf_event_open', ...order.kernel });
    }
    case 'map-failed':
      return kernelRefused(reply.detail, {
        what: `ring of ${order.ringPages} pages for ${who}`,
        call: 'mmap',
        ...order.kernel,
      });
    case 'bad-target':
      return brokerError(
        'InvalidTarget',
        target.kind === 'cgroup' ? 'not-a-cgroup' : 'not-a-pidfd',
        `the opener does not accept the fd of ${who}`,
      );
    default:
      return brokerError('Unavailable', 'internal', `the opener answered ${reply.status}`);
  }
}
