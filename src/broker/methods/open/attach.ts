/** Has the opener open every slot of an approved request, in as many messages as that takes. */
import { constants } from 'node:os';
import { Rollback } from '../../../common/rollback.js';
import { brokerError } from '../../../model/errors/error_table.js';
import type { EventFields } from '../../../model/events/event_fields.js';
import type { Subject } from '../../../model/identity/subject.js';
import type { SubordinateUids } from '../../../model/identity/subordinate_uids.js';
import { native, type Fd, type LaneUser } from '../../../native.js';
import type { QuotaReservation } from '../../grants/reservation.js';
import { anchorFields, type RingAnchors } from '../../grants/ring_anchors.js';
import type { LockScope } from '../../ipc/lock_scope.js';
import type { OpenReply } from '../../ipc/opener.js';
import { NO_LEADER, type OpenerReply, type OpenerSlot } from '../../ipc/opener_protocol.js';
import { within } from '../../ipc/within.js';
import { lockScopeOf } from '../../processes/lock_scope.js';
import { readThreads } from '../../processes/proc.js';
import type { PinnedTarget, ProcessTarget } from '../../processes/targets.js';
import type { Opener, OpenSession } from './context.js';
import { placesOf, planSlots, type Place } from './plan.js';
import { refusal, type RefusalFacts } from './refusal.js';
import type { VettedRequest } from './request.js';

export interface OpenOrder {
  /** User whose turn it takes at the opener, and in whose lane fds of events are closed. */
  readonly user: LaneUser;
  /** Finds the users of the targets. */
  readonly users: Pick<SubordinateUids, 'userOf'>;
  /** The client, for errors. */
  readonly subject: Subject;
  /** The client's socket: the opener identifies the client by it. */
  readonly socket: Fd;
  readonly request: Pick<VettedRequest, 'targets' | 'specs' | 'fields' | 'cpus' | 'ringPages' | 'ringSlots'>;
  readonly host: RefusalFacts['host'];
  readonly ringAnchors: Pick<RingAnchors, 'needed' | 'attach'>;
  /** Limit of the fds that are opened. */
  readonly maxFds: number;
  /** Covers the threads that were there when the request was vetted. Grows with new threads. */
  readonly reservation: Pick<QuotaReservation, 'growTo' | 'awaitRings'>;
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

/** All slots that were opened. The fds belong to the caller. */
export interface OpenedEvents {
  readonly slots: readonly OpenedSlot[];
  /** Has the opener unmap the rings; resolves when it has. */
  readonly releaseRings: () => Promise<void>;
  /** New threads kept appearing until the last scan. */
  readonly unstable: boolean;
}

type ReadThreads = (target: ProcessTarget) => readonly number[];

/** The thread does not exist any more. */
const { ESRCH } = constants.errno;

/** Limit for what takes the kernel microseconds. Shorter than the time that clients wait for an answer. */
const KEEP_MS = 10_000;

/** Scans of the thread list at most. */
const MAX_SCANS = 8;

/** @param readThreads for tests */
export async function openEvents(
  opener: Opener,
  order: OpenOrder,
  readThreads: ReadThreads = threadsOf,
): Promise<OpenedEvents> {
  const { targets, cpus } = order.request;
  const scopes = targets.map((target) => lockScopeOf(target, cpus, order.users));
  const session = await opener.begin(order.user, scopes);
  const attacher = new EventAttacher(session, order, readThreads);
  using opened = new Rollback(() => {
    attacher.closeSlots(0);
    order.reservation.awaitRings(session.release());
  });
  for (const [index, target] of targets.entries()) await attacher.attach(index, target);
  const result = attacher.result();
  opened.keep();
  return result;
}

interface RingRecord {
  readonly serial: number;
  readonly cpus: readonly number[];
  readonly scope: LockScope;
}

class EventAttacher {
  readonly #session: OpenSession;
  readonly #order: OpenOrder;
  readonly #readThreads: ReadThreads;
  readonly #leaders: readonly (number | undefined)[];
  readonly #slots: OpenedSlot[] = [];
  readonly #rings: RingRecord[] = [];
  readonly #cpusWithRing = new Set<number>();
  #unstable = false;

  constructor(session: OpenSession, order: OpenOrder, readThreads: ReadThreads) {
    this.#session = session;
    this.#order = order;
    this.#readThreads = readThreads;
    this.#leaders = order.request.specs.map(({ leader }) => leader);
  }

  async attach(index: number, target: PinnedTarget): Promise<void> {
    if (target.kind !== 'process') return this.#open(index, target, [-1]);
    if (target.tid !== null) return this.#open(index, target, [target.tid]);
    const inherited = this.#order.request.specs.some(({ inherit }) => inherit);
    return inherited ? this.#allInherited(index, target) : this.#allThreads(index, target);
  }

  /** Threads found by a later scan are added until a scan finds none. */
  async #allThreads(index: number, target: ProcessTarget): Promise<void> {
    const known = new Set<number>();
    for (let scan = 0; ; scan++) {
      const fresh = this.#readThreads(target).filter((tid) => !known.has(tid));
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
   * With inherit, a thread that a scan finds for the first time has its events already from the thread that created it, or has none
   * because its creator had none yet: we cannot know which. So an attach counts only when no thread appeared during it. Otherwise
   * everything is closed and opened again.
   */
  async #allInherited(index: number, target: ProcessTarget): Promise<void> {
    const before = { slots: this.#slots.length, rings: this.#rings.length };
    for (let scan = 0; ; scan++) {
      const tids = this.#readThreads(target);
      await this.#open(index, target, tids);
      const known = new Set(tids);
      if (this.#readThreads(target).every((tid) => known.has(tid))) return;
      if (scan === MAX_SCANS) {
        this.#unstable = true;
        return;
      }
      await this.#discard(before);
    }
  }

  async #open(index: number, target: PinnedTarget, tids: readonly number[]): Promise<void> {
    const { request, maxFds } = this.#order;
    const { cpus, specs } = request;
    // Counted once, before the loop: these include the slots that each message opens.
    const needed = this.#slots.length + tids.length * cpus.length * specs.length;
    if (needed > maxFds)
      throw brokerError('QuotaExceeded', 'fds', `the request needs ${needed} fds; ${maxFds} are allowed`);
    await this.#openPlaces(index, target, placesOf(tids, cpus), needed);
  }

  async #openPlaces(index: number, target: PinnedTarget, places: readonly Place[], needed: number): Promise<void> {
    const { ringSlots } = this.#order.request;
    for (const slots of planSlots(this.#leaders, places, ringSlots, this.#cpusWithRing))
      await this.#openMessage(index, target, slots, needed);
  }

  async #openMessage(index: number, target: PinnedTarget, slots: readonly OpenerSlot[], needed: number): Promise<void> {
    const { request, reservation, ringAnchors } = this.#order;
    const premapped = slots.filter((slot) => slot.premap);
    const rings = this.#rings.reduce((sum, ring) => sum + ring.cpus.length, premapped.length);
    reservation.growTo({ fds: needed, rings });
    const { reply, fds, serial } = await this.#send(target, request.fields, slots, premapped.length > 0);
    // Threads end at any time, which is not a refusal. The caller checks at the end whether any slot was opened.
    if (haveEnded(reply)) {
      for (const { cpu } of premapped) this.#cpusWithRing.delete(cpu);
      return;
    }
    if (reply.status !== 'opened') throw refusal(reply, target, slots, this.#order);
    const scope = this.#scopeOf(target, slots);
    const isOpen = (_: OpenerSlot, slot: number): boolean => reply.slotErrnos[slot] === 0;
    const opened = slots.filter(isOpen);
    const ringed = opened.filter(({ premap }) => premap);
    // The first slot of a cpu has its ring, which the others record into. Without that slot they have no ring: all are opened again.
    if (request.ringSlots === 'cpu' && ringed.length < premapped.length) {
      this.#close(fds);
      await this.#releaseRings({ serial, cpus: premapped.map(({ cpu }) => cpu), scope });
      const ended = new Set(slots.filter((slot, at) => !isOpen(slot, at)).map(({ tid }) => tid));
      const places = opened.filter(({ tid, event }) => event === 0 && !ended.has(tid));
      return this.#openPlaces(index, target, places, needed);
    }
    if (ringed.length > 0) this.#rings.push({ serial, cpus: ringed.map(({ cpu }) => cpu), scope });
    const first = this.#slots.length;
    for (const [slot, fd] of fds.entries()) this.#keep(fd, index, opened[slot]);
    if (ringed.length > 0 && ringAnchors.needed) await this.#keepRings(target, first);
  }

  #send(
    target: PinnedTarget,
    events: readonly EventFields[],
    slots: readonly OpenerSlot[],
    rings: boolean,
  ): Promise<OpenReply> {
    const { request, socket } = this.#order;
    const expected = target.kind === 'process' ? target.process : null;
    const ringPages = rings ? request.ringPages : 0;
    const message = { target: target.kind, expected, events, slots, ringPages };
    return this.#session.open(message, this.#scopeOf(target, slots), socket, target.fd);
  }

  #scopeOf(target: PinnedTarget, slots: readonly OpenerSlot[]): LockScope {
    const cpus = slots.map(({ cpu }) => cpu);
    return lockScopeOf(target, cpus, this.#order.users);
  }

  /**
   * Opens an anchor for each ring of the slots from `first` on. Closes a slot whose ring cannot have an anchor, because its thread has
   * ended.
   */
  async #keepRings(target: PinnedTarget, first: number): Promise<void> {
    const ringed = this.#slots.slice(first).filter(({ ring }) => ring);
    if (ringed.length === 0) return;
    const slots = ringed.map(({ event, tid, cpu }) => ({ tid, cpu, event, leader: NO_LEADER, premap: false }));
    const { reply, fds } = await this.#send(target, this.#order.request.fields.map(anchorFields), slots, false);
    if (reply.status !== 'opened' && !haveEnded(reply)) throw refusal(reply, target, slots, this.#order);
    const opened = ringed.filter((_, index) => reply.slotErrnos[index] === 0);
    const anchors = fds.slice(0, opened.length);
    const rings = opened.map(({ fd }) => fd);
    const kept = await this.#attachAnchors(anchors, rings);
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

  /** A target whose perf context is held delays this in its lane. The request waits for a limited time only. */
  async #attachAnchors(anchors: readonly Fd[], rings: readonly Fd[]): Promise<readonly boolean[]> {
    const { user, ringAnchors, request } = this.#order;
    using opened = new Rollback(() => this.#close(anchors));
    const kept = await within(ringAnchors.attach(user, anchors, rings, request.ringPages), KEEP_MS);
    if (kept === null)
      throw brokerError('Unavailable', 'context-held', `the rings could not be set up within ${KEEP_MS / 1000} s`);
    opened.keep();
    return kept;
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
    for (const ring of this.#rings.splice(mark.rings)) await this.#releaseRings(ring);
  }

  async #releaseRings({ serial, cpus, scope }: RingRecord): Promise<void> {
    for (const cpu of cpus) this.#cpusWithRing.delete(cpu);
    await this.#session.releaseRings(serial, scope);
  }

  closeSlots(from: number): void {
    this.#close(this.#slots.splice(from).flatMap(fdsOfSlot));
  }

  result(): OpenedEvents {
    const session = this.#session;
    // Without rings the worker does not need to wait for the client.
    const released = this.#rings.length === 0 ? session.release() : null;
    session.done();
    return {
      slots: this.#slots,
      releaseRings: () => released ?? session.release(),
      unstable: this.#unstable,
    };
  }
}

/** True when each of the threads had ended. */
function haveEnded({ status, slotErrnos }: OpenerReply): boolean {
  return status === 'open-failed' && slotErrnos.every((errno) => errno === ESRCH);
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
