/** Adds the fields that a collector needs to events that only have a source and exclusions. */
import {
  READ_FORMATS,
  SAMPLE_FIELDS,
  SIDE_RECORDS,
  type Clock,
  type EventSource,
  type EventSpec,
  type ReadFormat,
  type SampleField,
  type Sampling,
  type SideRecord,
} from '../event.js';
import { flagFields } from '../event_flags.js';

/** Event that counts `source` on every level, and sets no other field. */
export function bareEvent(source: EventSource): EventSpec {
  return {
    source,
    exclude: [],
    sampleType: [],
    readFormat: [],
    records: [],
    ...flagFields(() => false),
    preciseIp: 0,
    branch: [],
  };
}

export interface CountingOptions {
  /** Follow threads and children. Default: false. */
  readonly inherit?: boolean;
  /** Default: false. */
  readonly enableOnExec?: boolean;
}

export interface SamplingOptions extends CountingOptions {
  /** For events without their own (`/freq=99/`). */
  readonly sampling: Sampling;
  /** Sample call graphs by frame pointers. Default: false. */
  readonly callchain?: boolean;
  /** Bytes of user stack and registers that each sample contains, for unwinding. */
  readonly stack?: { readonly bytes: number; readonly registers: bigint };
  /** Frames. */
  readonly maxStack?: number;
  readonly clock?: Clock;
  /** Bytes of ring after which the reader wakes. */
  readonly wakeupBytes?: number;
  /** Read PERF_FORMAT_LOST (Linux 6.0), without which the last losses may stay unnoticed. Default: true. */
  readonly lost?: boolean;
}

/** Events for counting, as in perf stat: read(2) gives value, time enabled and time running. */
export function withCounting(events: readonly EventSpec[], options: CountingOptions = {}): readonly EventSpec[] {
  return events.map((event) => ({
    ...withoutSampling(event),
    readFormat: inOrder<ReadFormat>([...event.readFormat, 'total_time_enabled', 'total_time_running'], READ_FORMATS),
    ...followed(options),
  }));
}

function withoutSampling(event: EventSpec): EventSpec {
  const counted: { -readonly [Key in keyof EventSpec]: EventSpec[Key] } = { ...event };
  delete counted.sampling;
  return counted;
}

/**
 * Events for sampling, as in perf record. Every sample has its event (identifier), time, cpu and thread. The first event also
 * records mappings, names, forks and exits, which name addresses later.
 */
export function withSampling(events: readonly EventSpec[], options: SamplingOptions): readonly EventSpec[] {
  return events.map((event, index) => ({
    ...event,
    sampling: event.sampling ?? options.sampling,
    sampleType: inOrder<SampleField>([...event.sampleType, ...sampleFields(event, options)], SAMPLE_FIELDS),
    readFormat: inOrder<ReadFormat>([...event.readFormat, ...readFields(event, options)], READ_FORMATS),
    records:
      index === 0 ? inOrder<SideRecord>([...event.records, ...sideRecords(options)], SIDE_RECORDS) : event.records,
    sampleIdAll: true,
    ...followed(options),
    ...(options.stack !== undefined && { stackUser: options.stack.bytes, regsUser: options.stack.registers }),
    ...(options.maxStack !== undefined && { maxStack: options.maxStack }),
    ...(options.clock !== undefined && { clock: options.clock }),
    ...(options.wakeupBytes !== undefined && { wakeup: { bytes: options.wakeupBytes } }),
  }));
}

/** Every event opens disabled, including members of groups, so each needs enable_on_exec. */
function followed({
  inherit = false,
  enableOnExec = false,
}: CountingOptions): Pick<EventSpec, 'inherit' | 'enableOnExec'> {
  return { inherit, enableOnExec };
}

function sampleFields(event: EventSpec, options: SamplingOptions): readonly SampleField[] {
  const fields: SampleField[] = ['identifier', 'ip', 'tid', 'time', 'cpu', 'period'];
  if (options.callchain === true) fields.push('callchain');
  if (options.stack !== undefined) fields.push('stack_user', 'regs_user');
  if (event.source.kind === 'tracepoint') fields.push('raw');
  if (event.source.kind === 'breakpoint') fields.push('addr');
  return fields;
}

function readFields(event: EventSpec, { lost = true }: SamplingOptions): readonly ReadFormat[] {
  const fields: ReadFormat[] = ['id'];
  if (lost) fields.push('lost');
  if (event.sampleType.includes('read')) fields.push('group', 'total_time_enabled', 'total_time_running');
  return fields;
}

function sideRecords({ stack }: SamplingOptions): readonly SideRecord[] {
  // Unwinding also reads data mappings.
  const data: readonly SideRecord[] = stack === undefined ? [] : ['mmap_data'];
  return ['mmap', ...data, 'mmap2', 'comm', 'comm_exec', 'task'];
}

function inOrder<Name extends string>(names: readonly Name[], table: readonly Name[]): readonly Name[] {
  return table.filter((name) => names.includes(name));
}
