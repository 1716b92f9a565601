/** Type `Source` of the interface to and from the model. */
import {
  CACHE_OPERATIONS,
  CACHE_RESULTS,
  CACHES,
  HARDWARE_EVENTS,
  SOFTWARE_EVENTS,
  type EventSource,
  type U64,
} from '../model/event.js';
import { MAX_BREAKPOINT_LENGTH, MAX_PMU_TYPE, MAX_U32, refuse } from '../model/events/event_rules.js';
import { FIRST_DYNAMIC_TYPE } from '../model/events/event_fields.js';
import { hex } from '../common/hex.js';
import type { Source } from './broker_types.js';
import { JsonFields } from './json_fields.js';

const KINDS = ['software', 'hardware', 'cache', 'raw', 'tracepoint', 'pmu', 'breakpoint'] as const;
const ACCESSES = ['r', 'w', 'rw', 'x'] as const;

/** @throws BrokerError InvalidEvent */
export function sourceFromJson(json: unknown, path: string): EventSource {
  const fields = new JsonFields(json, path);
  const kind = fields.required('kind', fields.name('kind', KINDS));
  const source = readSource(kind, fields, path);
  fields.end();
  return source;
}

function readSource(kind: EventSource['kind'], fields: JsonFields, path: string): EventSource {
  switch (kind) {
    case 'software':
      return { kind, name: fields.required('name', fields.name('name', SOFTWARE_EVENTS)) };
    case 'hardware':
      return { kind, name: fields.required('name', fields.name('name', HARDWARE_EVENTS)), ...hybridPmu(fields) };
    case 'cache':
      return {
        kind,
        cache: fields.required('cache', fields.name('cache', CACHES)),
        operation: fields.required('operation', fields.name('operation', CACHE_OPERATIONS)),
        result: fields.required('result', fields.name('result', CACHE_RESULTS)),
        ...hybridPmu(fields),
      };
    case 'raw':
      return { kind, ...readConfigs(fields) };
    case 'tracepoint': {
      const name = fields.string('name');
      const id = fields.integer('id', 1, MAX_U32);
      if (name !== undefined && id !== undefined) refuse('conflict', `${path} has both name and id`);
      return id === undefined ? { kind, name: fields.required('name', name) } : { kind, id };
    }
    case 'pmu': {
      const name = fields.string('pmu');
      const type = fields.integer('pmuType', FIRST_DYNAMIC_TYPE, MAX_PMU_TYPE);
      if (name !== undefined && type !== undefined) refuse('conflict', `${path} has both pmu and pmuType`);
      return { kind, pmu: fields.required('pmu', type ?? name), ...readConfigs(fields) };
    }
    case 'breakpoint':
      return {
        kind,
        access: fields.required('access', fields.name('access', ACCESSES)),
        address: fields.required('address', fields.u64('address')),
        length: fields.required('length', fields.integer('length', 1, MAX_BREAKPOINT_LENGTH)),
      };
  }
}

function hybridPmu(fields: JsonFields): { pmu?: number } {
  const pmu = fields.integer('pmuType', 1, MAX_PMU_TYPE);
  return pmu === undefined ? {} : { pmu };
}

/** In the kernel's struct, and so here, zero means absent. */
function readConfigs(fields: JsonFields): { config: U64; config1?: U64; config2?: U64; config3?: U64 } {
  const config = fields.required('config', fields.u64('config'));
  const config1 = fields.u64('config1') ?? 0n;
  const config2 = fields.u64('config2') ?? 0n;
  const config3 = fields.u64('config3') ?? 0n;
  return {
    config,
    ...(config1 !== 0n && { config1 }),
    ...(config2 !== 0n && { config2 }),
    ...(config3 !== 0n && { config3 }),
  };
}

export function sourceToJson(source: EventSource): Source {
  switch (source.kind) {
    case 'software':
    case 'tracepoint':
      return source;
    case 'hardware':
    case 'cache': {
      const { pmu, ...rest } = source;
      return pmu === undefined ? rest : { ...rest, pmuType: pmu };
    }
    case 'raw':
      return { kind: 'raw', ...configsToJson(source) };
    case 'pmu':
      return {
        kind: 'pmu',
        ...(typeof source.pmu === 'number' ? { pmuType: source.pmu } : { pmu: source.pmu }),
        ...configsToJson(source),
      };
    case 'breakpoint':
      return { ...source, address: hex(source.address) };
  }
}

function configsToJson(
  source: Extract<EventSource, { kind: 'raw' | 'pmu' }>,
): Pick<Source, 'config' | 'config1' | 'config2' | 'config3'> {
  const { config, config1, config2, config3 } = source;
  return {
    config: hex(config),
    ...(config1 !== undefined && { config1: hex(config1) }),
    ...(config2 !== undefined && { config2: hex(config2) }),
    ...(config3 !== undefined && { config3: hex(config3) }),
  };
}
