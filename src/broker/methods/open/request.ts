/** Vets an Open or Explain: from parameters to what the policy decides on and the opener carries out. */
import { PAGE_BYTES } from '../../../common/page.js';
import { Rollback } from '../../../common/rollback.js';
import { brokerError } from '../../../model/errors/error_table.js';
import type { EventSpec } from '../../../model/event.js';
import { eventFields, type EventFields } from '../../../model/events/event_fields.js';
import { eventsFromJson } from '../../../interfaces/event_json.js';
import { forbiddenPmu } from '../../../model/events/event_rules.js';
import { eventName } from '../../../model/events/syntax/event_name.js';
import type { Subject } from '../../../model/identity/subject.js';
import { MAX_LEASE_SECONDS } from '../../../policy/load/limits.js';
import type { PolicyRequest } from '../../../policy/types.js';
import type { OpenParameters } from '../../../interfaces/broker_types.js';
import type { FdBag } from '../../../varlink/service.js';
import type { AuditRecord } from '../../audit/audit_record.js';
import { MAX_PREMAP_BYTES, MAX_SLOTS } from '../../ipc/opener_protocol.js';
import type { Caller } from '../../processes/caller.js';
import {
  describeTarget,
  onlyProcess,
  pinTargets,
  processFacts,
  releaseTargets,
  targetName,
  type PinnedTarget,
} from '../../processes/targets.js';
import type { DowngradeContext } from '../downgrade/context.js';
import { parseOrder } from '../downgrade/order.js';
import { requireTracer, type ProcessDowngrade } from '../downgrade/process.js';
import { subjectOf } from '../request/identify_caller.js';
import type { Host } from './context.js';
import { countFds, type RingSlots } from './plan.js';

/** A vetted request. `targets` are pinned until {@link releaseTargets}. */
export interface VettedRequest {
  readonly targets: readonly PinnedTarget[];
  readonly specs: readonly EventSpec[];
  readonly fields: readonly EventFields[];
  readonly cpus: readonly number[];
  /** Rings that are mapped in advance, and the pages of each. */
  readonly ringCount: number;
  readonly ringPages: number;
  readonly ringSlots: RingSlots;
  readonly policy: PolicyRequest;
}

/** A vetted Open. */
export interface VettedOpen extends VettedRequest {
  readonly leaseSeconds: number | undefined;
  /** Null when the request has none. */
  readonly downgrade: ProcessDowngrade | null;
}

/**
 * @param more whether the call takes several replies
 * @throws BrokerError; no target is pinned then
 */
export async function vetOpen(
  { dependencies }: { readonly dependencies: Host & Pick<DowngradeContext['dependencies'], 'tracer'> },
  caller: Caller,
  parameters: OpenParameters,
  { fds, more }: { readonly fds: FdBag; readonly more: boolean },
): Promise<VettedOpen> {
  const request = await vetRequest(parameters, fds, caller, dependencies);
  using pins = new Rollback(() => releaseTargets(request.targets));
  requireRoom(request, more);
  const downgrade = vetDowngrade(dependencies, caller, request, parameters.downgrade);
  pins.keep();
  return { ...request, leaseSeconds: parameters.leaseSeconds, downgrade };
}

function vetDowngrade(
  { tracer }: Pick<DowngradeContext['dependencies'], 'tracer'>,
  caller: Caller,
  { targets }: VettedRequest,
  parameter: OpenParameters['downgrade'],
): ProcessDowngrade | null {
  if (parameter === undefined) return null;
  return {
    tracer: requireTracer(tracer),
    order: parseOrder(parameter, subjectOf(caller)),
    target: onlyProcess(targets),
  };
}

/** The same request with another process of the same user as its subject. @throws BrokerError */
export function vetRedeem(subject: Subject, vetted: VettedOpen, more: boolean): VettedOpen {
  requireRoom(vetted, more);
  return { ...vetted, policy: { ...vetted.policy, subject } };
}

/** @throws BrokerError when the fds need several replies and the call takes one: before polkit is asked and anything is opened */
function requireRoom({ policy: { fds } }: VettedRequest, more: boolean): void {
  if (fds > MAX_SLOTS && !more)
    throw brokerError(
      'InvalidTarget',
      'too-many-threads',
      `${fds} fds do not fit into one reply, which has room for ${MAX_SLOTS}; call with "more"`,
    );
}

/** Facts about a request for the audit log. */
export function auditFacts(request: VettedRequest): Omit<AuditRecord, 'action' | 'verdict'> {
  return {
    targets: request.targets.map((target) =>
      target.kind === 'process' ? processFacts(target) : { name: targetName(target) },
    ),
    events: request.specs.map(eventName),
    ringBytes: request.policy.ringBytes,
  };
}

/** @throws BrokerError; no target is pinned then */
export async function vetRequest(
  parameters: OpenParameters,
  fds: FdBag,
  caller: Pick<Caller, 'peer' | 'work'>,
  host: Host,
): Promise<VettedRequest> {
  checkFds(parameters, fds);
  checkLease(parameters);
  const specs = eventsFromJson(parameters.events);
  const fields = specs.map((spec) => resolveEvent(spec, host));
  const targets = await pinTargets(parameters.targets, fds, caller);
  using pins = new Rollback(() => releaseTargets(targets));
  const cpus = pickCpus(parameters.cpus, targets, host.machine);
  const rings = pickRings(parameters, specs, cpus);
  const fdCount = countFds(targets, specs.length, cpus.length);
  const ringCount = { none: 0, each: fdCount, cpu: cpus.length }[rings.ringSlots];
  const policy: PolicyRequest = {
    subject: caller.peer.subject,
    targets: targets.map(describeTarget),
    events: specs,
    ceiling: host.ceiling,
    ringBytes: ringCount * rings.ringPages * PAGE_BYTES,
    fds: fdCount,
    ...(parameters.leaseSeconds === undefined ? {} : { leaseSeconds: parameters.leaseSeconds }),
  };
  pins.keep();
  return { targets, specs, fields, cpus, ringCount, ...rings, policy };
}

function checkFds({ targets }: OpenParameters, fds: FdBag): void {
  const expected = targets.filter(({ pidfd, directory }) => pidfd !== undefined || directory !== undefined).length;
  if (fds.remaining !== expected)
    throw brokerError('UnexpectedFds', 'unused', `the call has ${fds.remaining} fds; its targets refer to ${expected}`);
}

function checkLease({ leaseSeconds = 0 }: OpenParameters): void {
  if (leaseSeconds < 0 || leaseSeconds > MAX_LEASE_SECONDS)
    throw brokerError(
      'InvalidTarget',
      'bad-value',
      `a lease of ${leaseSeconds} seconds; 0 to ${MAX_LEASE_SECONDS} are possible`,
    );
}

/** Replaces names by the kernel's numbers: tracepoint ids and PMU types. */
function resolveEvent(spec: EventSpec, { machine, tracepoints, ceiling }: Host): EventFields {
  const { source } = spec;
  if (source.kind === 'tracepoint' && 'name' in source) {
    // The policy refuses the class in a moment. Without the class perfbrokerd does not read the names of tracepoints.
    if (!ceiling.includes('tracepoint')) return eventFields(spec, { tracepointId: 0 });
    const tracepointId = tracepoints.id(source.name);
    if (tracepointId !== null) return eventFields(spec, { tracepointId });
    const why = tracepoints.size > 0 ? '' : ': perfbrokerd could not read any names in tracefs when it started';
    throw brokerError('InvalidEvent', 'unknown-tracepoint', `this machine has no tracepoint ${source.name}${why}`);
  }
  if (source.kind === 'pmu') {
    const { pmu } = source;
    const [name, pmuType] = [...machine.pmus].find(([known, type]) => known === pmu || type === pmu) ?? [];
    if (name === undefined || pmuType === undefined)
      throw brokerError('InvalidEvent', 'unknown-pmu', `this machine has no PMU ${pmu}`);
    const forbidden = forbiddenPmu(name);
    if (forbidden !== null) throw brokerError('InvalidEvent', 'forbidden-pmu', forbidden);
    return eventFields(spec, { pmuType });
  }
  return eventFields(spec);
}

function pickCpus(
  asked: readonly number[] | undefined,
  targets: readonly PinnedTarget[],
  machine: Host['machine'],
): readonly number[] {
  if (asked === undefined) return targets.every((target) => target.kind === 'process') ? [-1] : machine.onlineCpus();
  const unique = new Set(asked);
  if (asked.length === 0 || unique.size !== asked.length)
    throw brokerError('InvalidTarget', 'bad-value', 'cpus is empty or names a cpu twice');
  const online = new Set(machine.onlineCpus());
  for (const cpu of asked)
    if (!online.has(cpu)) throw brokerError('InvalidTarget', 'no-such-cpu', `cpu ${cpu} is not online`);
  return asked;
}

function pickRings(
  { ringBytes = 0, ringSlots = ringBytes > 0 ? 'each' : 'none' }: OpenParameters,
  specs: readonly EventSpec[],
  cpus: readonly number[],
): { ringPages: number; ringSlots: RingSlots } {
  const pages = ringBytes / PAGE_BYTES;
  if (ringSlots === 'none' && ringBytes === 0) return { ringPages: 0, ringSlots };
  if (ringSlots === 'none' || !Number.isInteger(Math.log2(pages)) || pages < 1 || ringBytes > MAX_PREMAP_BYTES)
    throw brokerError(
      'InvalidTarget',
      'ring-size',
      `ringBytes is ${ringBytes} and ringSlots is ${ringSlots}; a ring has a power of two of pages, ${MAX_PREMAP_BYTES} bytes at most`,
    );
  if (cpus[0] === -1 && specs.some((spec) => spec.inherit))
    throw brokerError('InvalidTarget', 'cpus-needed', 'inherited events have rings only on chosen cpus');
  return { ringPages: pages, ringSlots };
}
