/**
 * perfbroker's client library: perf events for a process that may not open them itself.
 *
 * ```ts
 * await using client = await connect();
 * await using grant = await client.open({ targets: [{ pid }], events: parseEvents('task-clock:u') });
 * for (const event of grant.events) event.enable();
 * ```
 */
export { connect, DEFAULT_SOCKET, type ConnectOptions } from './connect.js';
export type { AskOptions, Client, ListOptions } from './client.js';
export type { Grant } from './grant.js';
export type { OpenedEvent } from './opened_event.js';
export type { DowngradeRequest, OpenRequest, RawEvent, TargetSelector, ThreadSelector } from './request.js';
export { RingReader, type PerfRecord } from './ring.js';
export { watchGrants, type WatchOptions } from './watch_grants.js';
export type { NativeError } from '../native.js';
export { VarlinkError } from './errors.js';
export { BrokerError, ERROR_NAMES, type ErrorName } from '../model/errors/errors.js';
export type { EventSource, EventSpec, Sampling } from '../model/event.js';
export { parseEvents, type SyntaxOptions } from '../model/events/syntax/event_syntax.js';
export type {
  Caller,
  Decision,
  CapabilitySets,
  DescribeReply,
  DowngradedProcess,
  DowngradedThread,
  DowngradeOrder,
  Grant as GrantRecord,
  Limits,
  Pmu,
  Reason,
  RevokeReply,
  WatchGrantsReply as GrantChange,
} from '../interfaces/broker_types.js';
