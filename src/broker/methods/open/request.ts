/** One Open or Explain, from parameters to what policy decides on and the opener carries out. */
import { brokerError } from '../../../model/errors/error_table.js';
import type { EventClass, EventSpec } from '../../../model/event.js';
import { forbiddenPmu } from '../../../model/events/event_rules.js';
import { eventFields, type EventFields } from '../../../model/events/event_fields.js';
import { eventsFromJson } from '../../../interfaces/event_json.js';
import { MAX_LEASE_SECONDS } from '../../../policy/load/limits.js';
import type { PolicyRequest } from '../../../policy/types.js';
import type { OpenParameters } from '../../../interfaces/broker_types.js';
import type { FdBag } from '../../../varlink/service.js';
import type { Machine } from '../../host/machine.js';
import { countFds } from './attach.js';
import { MAX_PREMAP_BYTES } from '../../ipc/opener_protocol.js';
import type { RingSlots } from './plan.js';
import type { Caller } from '../../processes/caller.js';
import { describeTarget, pinTargets, releaseTargets, type PinnedTarget } from '../../processes/targets.js';
import type { Tracepoints } from '../../host/tracepoints.js';

export interface RequestContext {
  readonly machine: Machine;
  readonly tracepoints: Tracepoints;
  readonly ceiling: readonly EventClass[];
}

/** A vetted request. `targets` are held until {@link releaseTargets}. */
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

export const PAGE = 4096;

export async function vetRequest(
  parameters: OpenParameters,
  fds: FdBag,
  caller: Pick<Caller, 'peer' | 'work'>,
  context: RequestContext,
): Promise<VettedRequest> {
  const wanted = parameters.targets.filter(
    (target) => target.pidfd !== undefined || target.directory !== undefined,
  ).length;
  if (fds.remaining !== wanted)
    throw brokerError('UnexpectedFds', 'unused', `${fds.remaining} fds came along; the targets mention ${wanted}`);
  const { leaseSeconds = 0 } = parameters;
  if (leaseSeconds < 0 || leaseSeconds > MAX_LEASE_SECONDS)
    throw brokerError(
      'InvalidTarget',
      'bad-value',
      `a lease of ${leaseSeconds} seconds; 0 to ${MAX_LEASE_SECONDS} are possible`,
    );
  const specs = eventsFromJson(parameters.events);
  const fields = specs.map((spec) => resolveEvent(spec, context));
  const targets = await pinTargets(parameters.targets, fds, caller);
  try {
    const cpus = pickCpus(parameters.cpus, targets, context.machine);
    const rings = pickRings(parameters, specs, cpus);
    const fdCount = countFds(targets, specs.length, cpus.length);
    const ringCount = { none: 0, each: fdCount, cpu: cpus.length }[rings.ringSlots];
    const policy: PolicyRequest = {
      subject: caller.peer.subject,
      targets: targets.map(describeTarget),
      events: specs,
      ceiling: context.ceiling,
      ringBytes: ringCount * rings.ringPages * PAGE,
      fds: fdCount,
      ...(parameters.leaseSeconds === undefined ? {} : { leaseSeconds: parameters.leaseSeconds }),
    };
    return { targets, specs, fields, cpus, ringCount, ...rings, policy };
  } catch (error) {
    releaseTargets(targets);
    throw error;
  }
}

/** Names become the kernel's numbers here: tracepoint ids and PMU types. */
function resolveEvent(spec: EventSpec, { machine, tracepoints, ceiling }: RequestContext): EventFields {
  const { source } = spec;
  if (source.kind === 'tracepoint' && 'name' in source) {
    // Refused for its class in a moment, whichever it is: without the class perfbrokerd does not read their names.
    if (!ceiling.includes('tracepoint')) return eventFields(spec, { tracepointId: 0 });
    const tracepointId = tracepoints.id(source.name);
    if (tracepointId !== null) return eventFields(spec, { tracepointId });
    const why = tracepoints.size > 0 ? '' : ': perfbrokerd could read no names in tracefs when it started';
    throw brokerError('InvalidEvent', 'unknown-tracepoint', `there is no tracepoint ${source.name} here${why}`);
  }
  if (source.kind === 'pmu') {
    const { pmu } = source;
    const [name, pmuType] = [...machine.pmus].find(([known, type]) => known === pmu || type === pmu) ?? [];
    if (name === undefined || pmuType === undefined)
      throw brokerError('InvalidEvent', 'unknown-pmu', `there is no PMU ${pmu} here`);
    const forbidden = forbiddenPmu(name);
    if (forbidden !== null) throw brokerError('InvalidEvent', 'forbidden-pmu', forbidden);
    return eventFields(spec, { pmuType });
  }
  return eventFields(spec);
}

function pickCpus(
  asked: readonly number[] | undefined,
  targets: readonly PinnedTarget[],
  machine: Machine,
): readonly number[] {
  if (asked === undefined) return targets.every((target) => target.kind === 'process') ? [-1] : machine.onlineCpus;
  const unique = new Set(asked);
  if (asked.length === 0 || unique.size !== asked.length)
    throw brokerError('InvalidTarget', 'bad-value', 'cpus is empty or names a cpu twice');
  for (const cpu of asked)
    if (!machine.onlineCpus.includes(cpu))
      throw brokerError('InvalidTarget', 'no-such-cpu', `cpu ${cpu} is not online`);
  return asked;
}

function pickRings(
  { ringBytes = 0, ringSlots = ringBytes > 0 ? 'each' : 'none' }: OpenParameters,
  specs: readonly EventSpec[],
  cpus: readonly number[],
): { ringPages: number; ringSlots: RingSlots } {
  const pages = ringBytes / PAGE;
  if (ringSlots === 'none' && ringBytes === 0) return { ringPages: 0, ringSlots };
  if (ringSlots === 'none' || !Number.isInteger(Math.log2(pages)) || pages < 1 || ringBytes > MAX_PREMAP_BYTES)
    throw brokerError('InvalidTarget', 'ring-size', `rings of ${ringBytes} bytes on ${ringSlots}`);
  if (cpus[0] === -1 && specs.some((spec) => spec.inherit))
    throw brokerError('InvalidTarget', 'cpus-needed', 'inherited events on any cpu have no ring');
  return { ringPages: pages, ringSlots };
}
