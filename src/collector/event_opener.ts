import type { EventSpec } from '../model/event.js';

/**
 * Opens events for the collector. The client library's `Client` is one; tests that may call perf_event_open(2) themselves
 * use a direct one.
 */
export interface EventOpener {
  open(request: OpenEvents): Promise<EventGrant>;
}

/** Something to observe. Numbers belong to this process's pid namespace. */
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
  /** Thread in the broker's pid namespace; -1 for system and cgroup targets. */
  readonly tid: number;
  readonly cpu: number;
  enable(): void;
  disable(): void;
  id(): bigint;
  /** Words as read_format lays them out. */
  read(): BigUint64Array;
}

export interface EventGrant extends AsyncDisposable {
  readonly id: string;
  readonly events: readonly GrantedEvent[];
  /** New threads kept appearing until the attach gave up: some may be missing. */
  readonly unstable: boolean;
  /** Seconds until the broker ends the grant; 0: no end. */
  readonly leaseSeconds: number;
  /** Reports that the rings are mapped, so that the broker releases its own mappings. */
  mapped(): Promise<void>;
  /** False when the broker has ended the grant; true also when no broker is left to ask. */
  isLive(): Promise<boolean>;
  /** False when the connection to the broker is known to have ended. */
  isConnected(): boolean;
  /** Idempotent; closes every fd. */
  close(): Promise<void> | void;
}
