/** Carries out an Open that was approved: reserve, have it opened, record, hand over. */
import { BrokerError } from '../../../model/errors/errors.js';
import { brokerError } from '../../../model/errors/error_table.js';
import { eventName } from '../../../model/events/syntax/event_name.js';
import { native, type Fd, type LaneUser } from '../../../native.js';
import { actionId } from '../../../policy/decide/authorization.js';
import type { DowngradedProcess } from '../../../interfaces/broker_types.js';
import type { Replier } from '../../../varlink/service.js';
import type { AuditRecord } from '../../audit/audit_record.js';
import type { Broker } from '../../broker.js';
import type { ClientConnection } from '../../processes/client_connection.js';
import { downgradeProcess, orderFacts } from '../downgrade/order.js';
import { newGrantId } from '../../grants/grants.js';
import { LANES } from '../../grants/lanes.js';
import { fdsOfSlot, openEvents, type OpenedEvents, type OpenedSlot } from './attach.js';
import { auditFacts } from './decide.js';
import { MAX_SLOTS } from '../../ipc/opener_protocol.js';
import { PAGE, type VettedRequest } from './request.js';
import { QuotaReservation } from '../../grants/reservation.js';
import { processFacts } from '../../processes/targets.js';
import type { Approval, Downgrade, Passed, WantedOpen } from '../request/wanted.js';

/** Threads may be born between the count that was decided about and the scan that opens; so many more fds are let pass. */
const SPARE_FDS = 64;

/** A live grant and the fds that are to be sent for it. */
export interface Granted {
  readonly id: string;
  readonly slots: readonly OpenedSlot[];
  readonly unstable: boolean;
  readonly lease: number;
  readonly downgraded: DowngradedProcess | null;
}

/** @throws BrokerError before anything is asked or opened: the fds need several replies, and the call takes but one */
export function requireRoom({ policy: { fds } }: VettedRequest, more: boolean): void {
  if (fds > MAX_SLOTS && !more)
    throw brokerError('InvalidTarget', 'too-many-threads', `${fds} fds do not fit one reply; call with "more"`);
}

/** What of an allowed request is not yet a grant: closed as a whole when a step on the way fails. */
class Pending {
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

  /** With them a revoke can stop the events. */
  get fds(): readonly Fd[] {
    return this.slots.map(({ fd }) => fd);
  }

  /** For each ring that was mapped in advance: the event that can be asked whether the ring is still mapped. */
  get ringFds(): readonly Fd[] {
    return this.slots.flatMap(({ ring, anchor, fd }) => (ring ? [anchor ?? fd] : []));
  }

  discard(lane: LaneUser): void {
    native.closeInLane(lane, this.slots.flatMap(fdsOfSlot), null);
    this.#reservation.awaitRings(this.releaseRings());
  }
}

/** The targets are the grant's from then on; on an error they stay the caller's. */
export async function grantEvents(
  broker: Broker,
  client: ClientConnection,
  { request, leaseSeconds, downgrade }: WantedOpen,
  { verdict, authorized }: Approval,
  more: boolean,
): Promise<Granted> {
  const { subject } = client;
  // Once for the request: after a reload of /etc/subuid the user may have another lane, which would not keep the order.
  const lane = broker.dependencies.subordinateUids.userOf(subject);
  const maxFds = more ? Infinity : MAX_SLOTS;
  // What is beyond the rule's limit was denied.
  const lease = leaseSeconds ?? verdict.limits.leaseSeconds;
  const facts = { ...auditFacts(request), rule: verdict.rule };
  const reservation = reserve(broker, request, verdict, facts);
  let pending: Pending | null = null;
  try {
    const opened = await openSlots(broker, client, lane, request, reservation, maxFds);
    pending = new Pending(opened, reservation);
    if (opened.slots.length === 0)
      throw brokerError('TargetGone', 'exited', 'every thread ended before its events were open');
    client.requireConnected();
    const downgraded = downgrade === null ? null : await take(broker, client, lane, downgrade);
    client.requireConnected();
    const id = newGrantId();
    broker.record(subject, {
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
    broker.grants.add(id, {
      subject,
      lane,
      owner: client,
      targets: request.targets,
      fds: pending.fds,
      events: request.specs.length,
      ringBytes: reservation.ringBytes,
      rule: verdict.rule,
      leaseSeconds: lease,
      ringFds: pending.ringFds,
      releaseRings: pending.releaseRings,
      releaseQuota: reservation.releaseGrant,
      releaseRingQuota: reservation.releaseRings,
    });
    return { id, lease, downgraded, ...opened };
  } catch (error) {
    pending?.discard(lane);
    // After all that was opened is closed: it still takes fds and memory.
    void LANES.close(lane, []).then(() => reservation.release());
    if (!(error instanceof BrokerError && error.error === 'AuditFailed'))
      broker.record(subject, { action: 'open', verdict: 'error', ...facts, error: (error as Error).message });
    throw error;
  }
}

/** Recorded before it is done, and what came of it: it can not be undone when the open fails after it. */
async function take(
  broker: Broker,
  client: ClientConnection,
  lane: LaneUser,
  downgrade: Downgrade,
): Promise<DowngradedProcess> {
  const { subject } = client;
  const { tracer, target, order } = downgrade;
  const facts = { targets: [processFacts(target)], ...orderFacts(order) };
  broker.record(subject, { action: 'downgrade', verdict: 'allow', ...facts });
  const process = await client.withSocket(lane, (connection) =>
    downgradeProcess(tracer, broker.tracing(subject), connection, target, order),
  );
  const { pid, stoppedMicroseconds, threads } = process;
  broker.record(subject, {
    action: 'downgraded',
    verdict: 'allow',
    pid,
    threads: threads.length,
    stoppedMicroseconds,
  });
  return process;
}

/** @throws QuotaExceeded, which is recorded */
function reserve(
  broker: Broker,
  { policy: { subject, fds }, ringCount, ringPages }: VettedRequest,
  { limits }: Passed,
  facts: Omit<AuditRecord, 'action' | 'verdict'>,
): QuotaReservation {
  const reservation = new QuotaReservation(broker, subject.uid, limits, ringPages * PAGE);
  try {
    reservation.reserveGrant({ fds, rings: ringCount });
    return reservation;
  } catch (error) {
    reservation.release();
    broker.record(subject, { action: 'open', verdict: 'deny', ...facts, reasons: [(error as Error).message] });
    throw error;
  }
}

function openSlots(
  broker: Broker,
  client: ClientConnection,
  lane: LaneUser,
  request: VettedRequest,
  reservation: QuotaReservation,
  maxFds: number,
): Promise<OpenedEvents> {
  const { opener, machine, capability, subordinateUids } = broker.dependencies;
  return client.withSocket(lane, (connection) =>
    openEvents(opener, {
      user: lane,
      users: subordinateUids,
      connection,
      targets: request.targets,
      events: request.fields,
      eventNames: request.specs.map(eventName),
      leaders: request.specs.map((spec) => spec.leader),
      inherit: request.specs.some((spec) => spec.inherit),
      cpus: request.cpus,
      ringPages: request.ringPages,
      ringSlots: request.ringSlots,
      kernel: { paranoid: machine.paranoid, capability },
      ringAnchors: broker.ringAnchors,
      maxFds: Math.min(request.policy.fds + SPARE_FDS, maxFds),
      reservation,
    }),
  );
}

/**
 * Replies of at most 253 fds each. The fds stay the grant's.
 * @throws TargetGone when the grant has ended: the numbers of its fds may be those of other files by now
 */
export function sendSlots(broker: Broker, { id, slots, unstable, lease, downgraded }: Granted, reply: Replier): void {
  for (let start = 0; start < slots.length; start += MAX_SLOTS) {
    if (!broker.grants.has(id)) throw brokerError('TargetGone', 'exited', 'the grant ended before it was handed over');
    const part = slots.slice(start, start + MAX_SLOTS);
    const parameters = {
      grant: id,
      slots: part.map(({ event, target, tid, cpu }, fd) => ({ fd, event, target, tid, cpu })),
      unstable,
      leaseSeconds: lease,
      ...(start === 0 && downgraded !== null ? { downgraded } : {}),
    };
    const fds = part.map((slot) => slot.fd);
    reply.lend(parameters, fds, start + MAX_SLOTS < slots.length);
  }
}
