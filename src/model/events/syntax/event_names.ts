/** Names and aliases of events as perf reads them: perf-list(1), parse-events.l and evsel.c of perf. */
import { CACHES, CACHE_OPERATIONS, HARDWARE_EVENTS, SOFTWARE_EVENTS, type EventSource } from '../../event.js';
import { sourceName } from './event_name.js';

const HARDWARE_ALIASES: Readonly<Record<string, (typeof HARDWARE_EVENTS)[number]>> = {
  cycles: 'cpu-cycles',
  branches: 'branch-instructions',
  'idle-cycles-frontend': 'stalled-cycles-frontend',
  'idle-cycles-backend': 'stalled-cycles-backend',
};

const SOFTWARE_ALIASES: Readonly<Record<string, (typeof SOFTWARE_EVENTS)[number]>> = {
  faults: 'page-faults',
  cs: 'context-switches',
  migrations: 'cpu-migrations',
};

/** Names that perf reads; it writes the first. */
const CACHE_NAMES: Readonly<Record<(typeof CACHES)[number], readonly string[]>> = {
  'L1-dcache': ['L1-dcache', 'l1-d', 'l1d', 'L1-data'],
  'L1-icache': ['L1-icache', 'l1-i', 'l1i', 'L1-instruction'],
  LLC: ['LLC', 'L2'],
  dTLB: ['dTLB', 'd-tlb', 'Data-TLB'],
  iTLB: ['iTLB', 'i-tlb', 'Instruction-TLB'],
  branch: ['branch', 'branches', 'bpu', 'btb', 'bpc'],
  node: ['node'],
};
const OPERATION_NAMES: Readonly<Record<(typeof CACHE_OPERATIONS)[number], readonly string[]>> = {
  load: ['load', 'loads', 'read'],
  store: ['store', 'stores', 'write'],
  prefetch: ['prefetch', 'prefetches', 'speculative-read', 'speculative-load'],
};
const RESULT_NAMES = { access: ['refs', 'Reference', 'ops', 'access'], miss: ['misses', 'miss'] } as const;

/** Every combination of cache, operation and result in perf's grammar. */
const CACHE_EVENTS: ReadonlyMap<string, EventSource> = new Map(cacheEvents());

function* cacheEvents(): Generator<[string, EventSource]> {
  for (const cache of CACHES) {
    for (const cacheName of CACHE_NAMES[cache]) {
      for (const result of ['access', 'miss'] as const) {
        for (const resultName of RESULT_NAMES[result]) {
          yield [`${cacheName}-${resultName}`, { kind: 'cache', cache, operation: 'load', result }];
          for (const operation of CACHE_OPERATIONS)
            for (const operationName of OPERATION_NAMES[operation])
              yield [`${cacheName}-${operationName}-${resultName}`, { kind: 'cache', cache, operation, result }];
        }
      }
      for (const operation of CACHE_OPERATIONS)
        for (const operationName of OPERATION_NAMES[operation])
          yield [`${cacheName}-${operationName}`, { kind: 'cache', cache, operation, result: 'access' }];
    }
  }
}

const RAW = /^r(?:0x)?([0-9a-fA-F]{1,16})$/;

/** Source of a software, hardware, cache or raw (`r01c2`) event, by name or alias. */
export function symbolicSource(name: string): EventSource | undefined {
  const hardware = HARDWARE_EVENTS.find((known) => known === name) ?? lookUp(HARDWARE_ALIASES, name);
  if (hardware !== undefined) return { kind: 'hardware', name: hardware };
  const software = SOFTWARE_EVENTS.find((known) => known === name) ?? lookUp(SOFTWARE_ALIASES, name);
  if (software !== undefined) return { kind: 'software', name: software };
  const raw = RAW.exec(name)?.[1];
  if (raw !== undefined) return { kind: 'raw', config: BigInt(`0x${raw}`) };
  return CACHE_EVENTS.get(name);
}

function lookUp<Value>(table: Readonly<Record<string, Value>>, name: string): Value | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

/** Names to suggest for a misspelled one. */
export const SYMBOLIC_NAMES: readonly string[] = [
  ...SOFTWARE_EVENTS,
  ...HARDWARE_EVENTS,
  ...Object.keys(SOFTWARE_ALIASES),
  ...Object.keys(HARDWARE_ALIASES),
  ...CACHES.flatMap((cache) =>
    CACHE_OPERATIONS.flatMap((operation) => [
      sourceName({ kind: 'cache', cache, operation, result: 'access' }),
      sourceName({ kind: 'cache', cache, operation, result: 'miss' }),
    ]),
  ),
];
