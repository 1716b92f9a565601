/** Carries out an approved Open: reserves its quota, has its events opened, and records the grant. */
import { PAGE_BYTES } from '../../../common/page.js';
import { brokerError } from '../../../model/errors/error_table.js';
import { BrokerError } from '../../../model/errors/errors.js';
import { native, type Fd, type LaneUser } from '../../../native.js';
import { actionId } from '../../../policy/decide/authorization.js';
import type { DowngradedProcess } from '../../../interfaces/broker_types.js';
import type { AuditRecord } from '../../audit/audit_record.js';
import { newGrantId } from '../../grants/grants.js';
import { LANES } from '../../grants/lanes.js';
import { QuotaReservation } from '../../grants/reservation.js';
import { MAX_SLOTS } from '../../ipc/opener_protocol.js';
import { downgradeForOpen } from '../downgrade/process.js';
import type { Client } from '../request/context.js';
import type { Permitted } from '../request/denial.js';
import { fdsOfSlot, openEvents, type OpenedEvents, type OpenedSlot } from './attach.js';
import type { OpenContext } from './context.js';
import type { Approval } from './decide.js';
import { auditFacts, type VettedOpen, type VettedRequest } from './request.js';

/** Fds above the number that was decided about: for threads that are created before the opener opens their events. */
const SPARE_FDS = 64;

/** A live grant and the fds that are to be sent for it. */
export interface Granted {
  readonly id: string;
  readonly slots: readonly OpenedSlot[];
  readonly unstable: boolean;
  readonly lease: number;
  readonly downgraded: DowngradedProcess | null;
}

/** Opened events that are not yet a grant. All of them are closed when a step on the way fails. */
class UncommittedGrant {
  readonly slots: readonly OpenedSlot[];
  readonly releaseRings: () => Promise<void>;
  readonly #reservation: QuotaReservation;

  constructor(opened: OpenedEvents, reservation: QuotaReservation) {
    this.#reservation = reservation;
    this.slots = opened.slots;
    this.releaseRings = async () => {
      reservation.releasePremapped();
      await opened.releaseRings();
    };
  }

  /** A revoke disables the events by them. */
  get fds(): readonly Fd[] {
    return this.slots.map(({ fd }) => fd);
  }

  /** For each ring that was mapped in advance: the event that shows whether the ring is still mapped. */
  get ringFds(): readonly Fd[] {
    return this.slots.flatMap(({ ring, anchor, fd }) => (ring ? [anchor ?? fd] : []));
  }

  discard(lane: LaneUser): void {
    native.closeInLane(lane, this.slots.flatMap(fdsOfSlot), null);
    this.#reservation.awaitRings(this.releaseRings());
  }
}

/** The targets belong to the grant from then on; on an error they stay the caller's. */
export async function grantEvents(
  context: OpenContext,
  client: Client,
  vetted: VettedOpen,
  { verdict, authorized }: Approval,
  more: boolean,
): Promise<Granted> {
  const { subject } = client;
  // Read once for the request: after a reload of /etc/subuid the user can have another lane, which would not keep the order.
  const lane = context.dependencies.subordinateUids.userOf(subject);
  // A lease above the limit of the rule was denied.
  const lease = vetted.leaseSeconds ?? verdict.limits.leaseSeconds;
  const facts = { ...auditFacts(vetted), rule: verdict.rule };
  const reservation = reserve(context, vetted, verdict, facts);
  let uncommitted: UncommittedGrant | null = null;
  try {
    const opened = await openSlots(context, client, lane, vetted, reservation, more);
    uncommitted = new UncommittedGrant(opened, reservation);
    if (opened.slots.length === 0)
      throw brokerError('TargetGone', 'exited', 'every thread ended before its events were open');
    client.requireConnected();
    const downgraded =
      vetted.downgrade === null ? null : await downgradeForOpen(context, client, lane, vetted.downgrade);
    client.requireConnected();
    const id = newGrantId();
    context.record(subject, {
      action: 'open',
      verdict: 'allow',
      ...facts,
      limits: verdict.limits,
      fds: opened.slots.length,
      ringBytes: reservation.ringBytes,
      lease,
      grant: id,
      ...(authorized.length === 0 ? {} : { authorized: authorized.map(actionId) }),
    });
    context.grants.add(id, {
      subject,
      lane,
      owner: client,
      targets: vetted.targets,
      fds: uncommitted.fds,
      events: vetted.specs.length,
      ringBytes: reservation.ringBytes,
      rule: verdict.rule,
      leaseSeconds: lease,
      ringFds: uncommitted.ringFds,
      releaseRings: uncommitted.releaseRings,
      releaseQuota: reservation.releaseGrant,
      releaseRingQuota: reservation.releaseRings,
    });
    return { id, lease, downgraded, ...opened };
  } catch (error) {
    uncommitted?.discard(lane);
    // The quota is returned after the fds are closed: until then they take memory.
    void LANES.close(lane, []).then(() => reservation.release());
    if (!(error instanceof BrokerError && error.error === 'AuditFailed'))
      context.record(subject, { action: 'open', verdict: 'error', ...facts, error: (error as Error).message });
    throw error;
  }
}

/** @throws QuotaExceeded, which is recorded */
function reserve(
  context: OpenContext,
  { policy: { subject, fds }, ringCount, ringPages }: VettedRequest,
  { limits }: Permitted,
  facts: Omit<AuditRecord, 'action' | 'verdict'>,
): QuotaReservation {
  const reservation = new QuotaReservation(context, subject.uid, limits, ringPages * PAGE_BYTES);
  try {
    reservation.reserveGrant({ fds, rings: ringCount });
    return reservation;
  } catch (error) {
    reservation.release();
    context.record(subject, { action: 'open', verdict: 'deny', ...facts, reasons: [(error as Error).message] });
    throw error;
  }
}

function openSlots(
  { dependencies, ringAnchors }: OpenContext,
  client: Client,
  lane: LaneUser,
  request: VettedRequest,
  reservation: QuotaReservation,
  more: boolean,
): Promise<OpenedEvents> {
  const { opener, machine, capability, subordinateUids } = dependencies;
  return client.withSocket(lane, (socket) =>
    openEvents(opener, {
      user: lane,
      users: subordinateUids,
      subject: client.subject,
      socket,
      request,
      host: { paranoid: machine.paranoid, capability, onlineCpus: machine.onlineCpus },
      ringAnchors,
      maxFds: Math.min(request.policy.fds + SPARE_FDS, more ? Infinity : MAX_SLOTS),
      reservation,
    }),
  );
}
