import type { EventSpec } from '../model/event.js';

/**
 * What the collector needs of the one who opens events for it. The client library's `Client` fits; tests that may call
 * perf_event_open(2) themselves put a direct one in its place.
 */
export interface EventOpener {
  open(request: OpenEvents): Promise<EventGrant>;
}

/** What is observed. Numbers are read in this process's pid namespace. */
export type CollectorTarget =
  | { readonly pid: number; readonly threads?: 'all' | 'leader' }
  | { readonly pid: number; readonly tid: number }
  | { readonly system: true }
  | { readonly cgroup: string };

export interface OpenEvents {
  readonly targets: readonly CollectorTarget[];
  readonly events: readonly EventSpec[];
  /** Absent: any cpu. */
  readonly cpus?: readonly number[];
  /** Bytes of one ring's data; a power of two of pages. */
  readonly ringBytes?: number;
  readonly ringSlots?: 'none' | 'each' | 'cpu';
}

/** One fd: an event on a thread (or on every task) and a cpu. */
export interface GrantedEvent {
  readonly fd: number;
  /** Indexes into the request's lists. */
  readonly event: number;
  readonly target: number;
  /** In the broker's pid namespace; -1 for system and cgroup targets. */
  readonly tid: number;
  readonly cpu: number;
  enable(): void;
  disable(): void;
  id(): bigint;
  /** Words as read_format lays them out. */
  read(): BigUint64Array;
}

export interface EventGrant {
  readonly id: string;
  readonly events: readonly GrantedEvent[];
  /** Threads were still being born when the attach gave up: some may be missing. */
  readonly unstable: boolean;
  /** Seconds until the broker ends the grant; 0: no end. */
  readonly leaseSeconds: number;
  /** The rings are mapped: the broker lets go of its own mappings. */
  mapped(): Promise<void>;
  /** Whether whoever granted it has not ended it meanwhile; true also where nobody is left to say so. */
  isLive(): Promise<boolean>;
  /** Idempotent; closes every fd. */
  close(): Promise<void> | void;
}
