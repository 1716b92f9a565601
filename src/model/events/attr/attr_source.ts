/** Source of an event from type, config* and bp_type of struct perf_event_attr. */
import { OFFSET } from './attr_layout.js';
import {
  CACHE_OPERATIONS,
  CACHE_RESULTS,
  CACHES,
  HARDWARE_EVENTS,
  SOFTWARE_EVENTS,
  type EventSource,
  type U64,
} from '../../event.js';
import { BREAKPOINT_TYPES, PERF_TYPE } from '../event_fields.js';
import { MAX_BREAKPOINT_LENGTH, MAX_PMU_TYPE, MAX_U32, refuse } from '../event_rules.js';

/**
 * @param attr of the newest size
 * @throws BrokerError InvalidEvent
 */
export function sourceOfAttr(attr: DataView): EventSource {
  const type = attr.getUint32(OFFSET.type, true);
  const config = attr.getBigUint64(OFFSET.config, true);
  if (type !== PERF_TYPE.breakpoint && attr.getUint32(OFFSET.bpType, true) !== 0)
    refuse('conflict', `bp_type is set, but type ${type} is not a breakpoint`);
  switch (type) {
    case PERF_TYPE.software:
      refuseConfigs(attr, 'a software event');
      return { kind: 'software', name: named(SOFTWARE_EVENTS, config, 'software event') };
    case PERF_TYPE.hardware:
      refuseConfigs(attr, 'a hardware event');
      return {
        kind: 'hardware',
        name: named(HARDWARE_EVENTS, config & 0xffff_ffffn, 'hardware event'),
        ...hybridPmu(config),
      };
    case PERF_TYPE.cache:
      refuseConfigs(attr, 'a cache event');
      return cacheSource(config);
    case PERF_TYPE.tracepoint:
      refuseConfigs(attr, 'a tracepoint');
      if (config === 0n || config > BigInt(MAX_U32)) refuse('bad-value', `tracepoint id ${config} is not 1 to 2^32-1`);
      return { kind: 'tracepoint', id: Number(config) };
    case PERF_TYPE.raw:
      return { kind: 'raw', ...configs(attr, config) };
    case PERF_TYPE.breakpoint:
      return breakpointSource(attr, config);
    default:
      return { kind: 'pmu', pmu: type, ...configs(attr, config) };
  }
}

function cacheSource(config: bigint): EventSource {
  if (((config >> 24n) & 0xffn) !== 0n) refuse('unknown-bit', 'config bits 24 to 31 of a cache event are unknown');
  return {
    kind: 'cache',
    cache: named(CACHES, config & 0xffn, 'cache'),
    operation: named(CACHE_OPERATIONS, (config >> 8n) & 0xffn, 'cache operation'),
    result: named(CACHE_RESULTS, (config >> 16n) & 0xffn, 'cache result'),
    ...hybridPmu(config),
  };
}

function breakpointSource(attr: DataView, config: bigint): EventSource {
  if (config !== 0n) refuse('conflict', 'config is set, which a breakpoint does not use');
  refuseField(attr, 'config3', 'a breakpoint');
  const type = attr.getUint32(OFFSET.bpType, true);
  const access = (['r', 'w', 'rw', 'x'] as const).find((name) => BREAKPOINT_TYPES[name] === type);
  if (access === undefined) refuse('unknown-name', `bp_type ${type} is not supported`);
  const length = attr.getBigUint64(OFFSET.config2, true);
  if (length < 1n || length > BigInt(MAX_BREAKPOINT_LENGTH))
    refuse('bad-value', `bp_len ${length} is not 1 to ${MAX_BREAKPOINT_LENGTH}`);
  return { kind: 'breakpoint', access, address: attr.getBigUint64(OFFSET.config1, true), length: Number(length) };
}

function refuseConfigs(attr: DataView, what: string): void {
  for (const field of ['config1', 'config2', 'config3'] as const) refuseField(attr, field, what);
}

function refuseField(attr: DataView, field: 'config1' | 'config2' | 'config3', what: string): void {
  if (attr.getBigUint64(OFFSET[field], true) !== 0n) refuse('conflict', `${field} is set, which ${what} does not use`);
}

function configs(attr: DataView, config: bigint): { config: U64; config1?: U64; config2?: U64; config3?: U64 } {
  const config1 = attr.getBigUint64(OFFSET.config1, true);
  const config2 = attr.getBigUint64(OFFSET.config2, true);
  const config3 = attr.getBigUint64(OFFSET.config3, true);
  return {
    config,
    ...(config1 !== 0n && { config1 }),
    ...(config2 !== 0n && { config2 }),
    ...(config3 !== 0n && { config3 }),
  };
}

/** config[63:32] of hardware and cache events on hybrid machines. */
function hybridPmu(config: bigint): { pmu?: number } {
  const pmu = Number(config >> 32n);
  if (pmu > MAX_PMU_TYPE) refuse('bad-value', `PMU ${pmu} in config is above 2^31-1`);
  return pmu === 0 ? {} : { pmu };
}

function named<Name extends string>(table: readonly Name[], index: bigint, what: string): Name {
  return (
    (index < BigInt(table.length) ? table[Number(index)] : undefined) ??
    refuse('unknown-name', `${what} ${index} is unknown`)
  );
}
