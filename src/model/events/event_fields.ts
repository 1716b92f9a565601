/**
 * Numbers of an event: EventFields of native/protocol/opener.h. The opener builds the kernel's struct from them, and attr.ts
 * the bytes of a struct perf_event_attr.
 */
import { maskOf } from '../../common/bits.js';
import { brokerError } from '../errors/error_table.js';
import {
  BRANCH_FILTERS,
  CACHE_OPERATIONS,
  CACHE_RESULTS,
  CACHES,
  HARDWARE_EVENTS,
  READ_FORMATS,
  SAMPLE_FIELDS,
  SOFTWARE_EVENTS,
  type Clock,
  type EventSource,
  type EventSpec,
} from '../event.js';
import { EVENT_FLAGS, EventFlag } from '../event_flags.js';

export interface EventFields {
  /** PERF_TYPE_* or a dynamic PMU's number. */
  readonly type: number;
  /** Events, or bytes with `watermark`. */
  readonly wakeup: number;
  readonly config: bigint;
  /** bp_addr for breakpoints. */
  readonly config1: bigint;
  /** bp_len for breakpoints. */
  readonly config2: bigint;
  readonly config3: bigint;
  /** Period, or Hz with `freq`; 0 counts. */
  readonly samplePeriod: bigint;
  readonly sampleType: bigint;
  readonly readFormat: bigint;
  readonly branchSampleType: bigint;
  readonly sampleRegsUser: bigint;
  readonly sampleRegsIntr: bigint;
  /** {@link EventFlag} bits. */
  readonly flags: bigint;
  readonly sampleStackUser: number;
  /** HW_BREAKPOINT_*. */
  readonly bpType: number;
  readonly clockid: number;
  readonly sampleMaxStack: number;
  readonly preciseIp: number;
}

/** Numbers of names on this machine. A name without its number is refused. */
export interface Resolved {
  /** /sys/bus/event_source/devices/PMU/type. */
  readonly pmuType?: number;
  /** tracefs events/SUBSYSTEM/EVENT/id. */
  readonly tracepointId?: number;
}

/** PERF_TYPE_*; include/uapi/linux/perf_event.h. Numbers from 6 on are dynamic PMUs. */
export const PERF_TYPE = { hardware: 0, software: 1, tracepoint: 2, cache: 3, raw: 4, breakpoint: 5 } as const;
export const FIRST_DYNAMIC_TYPE = 6;

/** HW_BREAKPOINT_*; include/uapi/linux/hw_breakpoint.h. */
export const BREAKPOINT_TYPES = { r: 1, w: 2, rw: 3, x: 4 } as const;

/** CLOCK_* numbers; include/uapi/linux/time.h. */
export const CLOCK_IDS: Readonly<Record<Clock, number>> = {
  realtime: 0,
  monotonic: 1,
  monotonic_raw: 4,
  boottime: 7,
  tai: 11,
};

/**
 * @throws BrokerError InvalidEvent `unknown-pmu` or `unknown-tracepoint` when a name is not resolved
 */
export function eventFields(spec: EventSpec, resolved: Resolved = {}): EventFields {
  const wakeup = spec.wakeup;
  return {
    ...sourceFields(spec.source, resolved),
    wakeup: wakeup === undefined ? 0 : 'events' in wakeup ? wakeup.events : wakeup.bytes,
    samplePeriod: samplePeriod(spec),
    sampleType: maskOf(spec.sampleType, SAMPLE_FIELDS),
    readFormat: maskOf(spec.readFormat, READ_FORMATS),
    branchSampleType: maskOf(spec.branch, BRANCH_FILTERS),
    sampleRegsUser: spec.regsUser ?? 0n,
    sampleRegsIntr: spec.regsIntr ?? 0n,
    flags: flagBits(spec),
    sampleStackUser: spec.stackUser ?? 0,
    clockid: spec.clock === undefined ? 0 : CLOCK_IDS[spec.clock],
    sampleMaxStack: spec.maxStack ?? 0,
    preciseIp: spec.preciseIp,
  };
}

function samplePeriod(spec: EventSpec): bigint {
  if (spec.sampling === undefined) return 0n;
  return 'period' in spec.sampling ? spec.sampling.period : BigInt(spec.sampling.frequency);
}

function flagBits(spec: EventSpec): bigint {
  return EVENT_FLAGS.reduce((flags, row) => (isSet(row, spec) ? flags | EventFlag[row.name] : flags), 0n);
}

function isSet(row: (typeof EVENT_FLAGS)[number], spec: EventSpec): boolean {
  if ('field' in row) return spec[row.field];
  if ('exclude' in row) return spec.exclude.includes(row.exclude);
  if ('record' in row) return spec.records.includes(row.record);
  switch (row.name) {
    case 'freq':
      return spec.sampling !== undefined && 'frequency' in spec.sampling;
    case 'watermark':
      return spec.wakeup !== undefined && 'bytes' in spec.wakeup;
    case 'useClockid':
      return spec.clock !== undefined;
  }
}

type SourceFields = Pick<EventFields, 'type' | 'config' | 'config1' | 'config2' | 'config3' | 'bpType'>;

function sourceFields(source: EventSource, resolved: Resolved): SourceFields {
  const none = { config1: 0n, config2: 0n, config3: 0n, bpType: 0 };
  switch (source.kind) {
    case 'software':
      return { ...none, type: PERF_TYPE.software, config: BigInt(SOFTWARE_EVENTS.indexOf(source.name)) };
    case 'hardware':
      return {
        ...none,
        type: PERF_TYPE.hardware,
        config: BigInt(HARDWARE_EVENTS.indexOf(source.name)) | hybrid(source.pmu),
      };
    case 'cache':
      return { ...none, type: PERF_TYPE.cache, config: cacheConfig(source) | hybrid(source.pmu) };
    case 'raw':
      return { type: PERF_TYPE.raw, ...configs(source), bpType: 0 };
    case 'pmu':
      return { type: pmuType(source.pmu, resolved), ...configs(source), bpType: 0 };
    case 'tracepoint':
      return { ...none, type: PERF_TYPE.tracepoint, config: BigInt(tracepointId(source, resolved)) };
    case 'breakpoint':
      return {
        ...none,
        type: PERF_TYPE.breakpoint,
        config: 0n,
        config1: source.address,
        config2: BigInt(source.length),
        bpType: BREAKPOINT_TYPES[source.access],
      };
  }
}

/** The PMU of a hybrid machine in config[63:32] (PERF_PMU_TYPE_SHIFT). */
function hybrid(pmu: number | undefined): bigint {
  return BigInt(pmu ?? 0) << 32n;
}

function cacheConfig(source: Extract<EventSource, { kind: 'cache' }>): bigint {
  const cache = CACHES.indexOf(source.cache);
  const operation = CACHE_OPERATIONS.indexOf(source.operation);
  const result = CACHE_RESULTS.indexOf(source.result);
  return BigInt(cache | (operation << 8) | (result << 16));
}

function configs(source: Extract<EventSource, { kind: 'raw' | 'pmu' }>): Omit<SourceFields, 'type' | 'bpType'> {
  const { config, config1 = 0n, config2 = 0n, config3 = 0n } = source;
  return { config, config1, config2, config3 };
}

function pmuType(pmu: string | number, resolved: Resolved): number {
  const type = typeof pmu === 'number' ? pmu : resolved.pmuType;
  if (type === undefined) throw brokerError('InvalidEvent', 'unknown-pmu', `there is no PMU ${pmu} here`);
  // The core PMU of x86 calls itself PERF_TYPE_RAW; no other fixed type is a PMU with a config of its own.
  if (type !== PERF_TYPE.raw && type < FIRST_DYNAMIC_TYPE)
    throw brokerError(
      'InvalidEvent',
      'unknown-pmu',
      `PMU ${pmu} has the fixed type ${type}: use its own kind of source`,
    );
  return type;
}

function tracepointId(source: Extract<EventSource, { kind: 'tracepoint' }>, resolved: Resolved): number {
  const id = 'id' in source ? source.id : resolved.tracepointId;
  if (id === undefined)
    throw brokerError(
      'InvalidEvent',
      'unknown-tracepoint',
      `there is no tracepoint ${'name' in source ? source.name : ''} here`,
    );
  return id;
}
