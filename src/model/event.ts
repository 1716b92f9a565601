/**
 * The typed event. It contains everything that the broker can request of the kernel. src/interfaces/event_json.ts translates to and
 * from JSON, src/model/events/attr/attr.ts to and from `struct perf_event_attr`. Names follow perf_event_open(2).
 */

import type { Exclusion, FlagField, SideRecord } from './event_flags.js';

export { EXCLUSIONS, SIDE_RECORDS, type Exclusion, type SideRecord } from './event_flags.js';

/** 64-bit number. In JSON a decimal or 0x-prefixed string, or a number up to 2^53-1. */
export type U64 = bigint;

export const SOFTWARE_EVENTS = [
  'cpu-clock',
  'task-clock',
  'page-faults',
  'context-switches',
  'cpu-migrations',
  'minor-faults',
  'major-faults',
  'alignment-faults',
  'emulation-faults',
  'dummy',
  'bpf-output',
  'cgroup-switches',
] as const; // PERF_COUNT_SW_*, in order
export const HARDWARE_EVENTS = [
  'cpu-cycles',
  'instructions',
  'cache-references',
  'cache-misses',
  'branch-instructions',
  'branch-misses',
  'bus-cycles',
  'stalled-cycles-frontend',
  'stalled-cycles-backend',
  'ref-cycles',
] as const; // PERF_COUNT_HW_*, in order
export const CACHES = ['L1-dcache', 'L1-icache', 'LLC', 'dTLB', 'iTLB', 'branch', 'node'] as const; // PERF_COUNT_HW_CACHE_*, in order
export const CACHE_OPERATIONS = ['load', 'store', 'prefetch'] as const;
export const CACHE_RESULTS = ['access', 'miss'] as const;

/** Source that an event counts. */
export type EventSource =
  | { readonly kind: 'software'; readonly name: (typeof SOFTWARE_EVENTS)[number] }
  | {
      readonly kind: 'hardware';
      readonly name: (typeof HARDWARE_EVENTS)[number];
      /** hybrid PMU type, config[63:32] */ readonly pmu?: number;
    }
  | {
      readonly kind: 'cache';
      readonly cache: (typeof CACHES)[number];
      readonly operation: (typeof CACHE_OPERATIONS)[number];
      readonly result: (typeof CACHE_RESULTS)[number];
      readonly pmu?: number;
    }
  | {
      readonly kind: 'raw';
      readonly config: U64;
      readonly config1?: U64;
      readonly config2?: U64;
      readonly config3?: U64;
    }
  /** `name` is 'subsystem:event'; the broker looks the id up. From raw attr bytes only `id` is known. */
  | { readonly kind: 'tracepoint'; readonly name: string }
  | { readonly kind: 'tracepoint'; readonly id: number }
  /** PMU of /sys/bus/event_source/devices, by name (or by number, from raw attr bytes). */
  | {
      readonly kind: 'pmu';
      readonly pmu: string | number;
      readonly config: U64;
      readonly config1?: U64;
      readonly config2?: U64;
      readonly config3?: U64;
    }
  | {
      readonly kind: 'breakpoint';
      readonly access: 'r' | 'w' | 'rw' | 'x';
      readonly address: U64;
      readonly length: number;
    };

export const SAMPLE_FIELDS = [
  'ip',
  'tid',
  'time',
  'addr',
  'read',
  'callchain',
  'id',
  'cpu',
  'period',
  'stream_id',
  'raw',
  'branch_stack',
  'regs_user',
  'stack_user',
  'weight',
  'data_src',
  'identifier',
  'transaction',
  'regs_intr',
  'phys_addr',
  'aux',
  'cgroup',
  'data_page_size',
  'code_page_size',
  'weight_struct',
] as const; // PERF_SAMPLE_*, bit order
export type SampleField = (typeof SAMPLE_FIELDS)[number];
export const READ_FORMATS = ['total_time_enabled', 'total_time_running', 'id', 'group', 'lost'] as const; // PERF_FORMAT_*, bit order
export type ReadFormat = (typeof READ_FORMATS)[number];
export const BRANCH_FILTERS = [
  'user',
  'kernel',
  'hv',
  'any',
  'any_call',
  'any_return',
  'ind_call',
  'abort_tx',
  'in_tx',
  'no_tx',
  'cond',
  'call_stack',
  'ind_jump',
  'call',
  'no_flags',
  'no_cycles',
  'type_save',
  'hw_index',
  'priv_save',
  'counters',
] as const; // PERF_SAMPLE_BRANCH_*, bit order
export type BranchFilter = (typeof BRANCH_FILTERS)[number];
export const CLOCKS = ['realtime', 'monotonic', 'monotonic_raw', 'boottime', 'tai'] as const;
export type Clock = (typeof CLOCKS)[number]; // CLOCK_* 0, 1, 4, 7, 11

export type Sampling =
  /** One sample every `period` events. */
  | { readonly period: U64 }
  /** Sampling frequency in Hz. */
  | { readonly frequency: number };

/** Requested event. Boolean fields are in event_flags.ts. Frozen after parsing. */
export interface EventSpec extends Readonly<Record<FlagField, boolean>> {
  readonly source: EventSource;
  readonly exclude: readonly Exclusion[];
  /** Absent: counting. */
  readonly sampling?: Sampling;
  readonly sampleType: readonly SampleField[];
  readonly readFormat: readonly ReadFormat[];
  readonly records: readonly SideRecord[];
  /** 0 to 3: the accepted skid (the `p` modifiers). */
  readonly preciseIp: number;
  /** Wake the reader every `events` samples or `bytes` bytes of ring. Absent: the kernel's default. */
  readonly wakeup?: { readonly events: number } | { readonly bytes: number };
  readonly clock?: Clock;
  readonly branch: readonly BranchFilter[];
  /** Bit masks of registers, PERF_REG_*. */
  readonly regsUser?: U64;
  readonly regsIntr?: U64;
  /** Bytes of user stack per sample; a multiple of 8, at most 65,528. */
  readonly stackUser?: number;
  /** Frames; 0 or absent is the kernel's default (127). */
  readonly maxStack?: number;
  /** Index (in the request's list of events) of the event that leads this one's group; it must come earlier. */
  readonly leader?: number;
}

/** Classes of events and targets, for policy and ceiling. Bit order of Ceiling in native/protocol/opener.h. */
export const EVENT_CLASSES = [
  'user',
  'raw',
  'breakpoint',
  'tracepoint',
  'kernel',
  'other-users',
  'system-wide',
] as const;
export type EventClass = (typeof EVENT_CLASSES)[number];
