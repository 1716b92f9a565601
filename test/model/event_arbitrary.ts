import fc from 'fast-check';
import {
  BRANCH_FILTERS,
  CACHE_OPERATIONS,
  CACHE_RESULTS,
  CACHES,
  CLOCKS,
  EXCLUSIONS,
  HARDWARE_EVENTS,
  READ_FORMATS,
  SAMPLE_FIELDS,
  SIDE_RECORDS,
  SOFTWARE_EVENTS,
  type EventSource,
  type EventSpec,
} from '#dist/model/event.js';
import { FLAG_FIELDS, flagFields } from '#dist/model/event_flags.js';

const u32 = fc.integer({ min: 1, max: 0xffff_ffff });
const u64 = fc.bigInt({ min: 1n, max: (1n << 64n) - 1n });
const dynamicPmu = fc.integer({ min: 6, max: 0x7fff_ffff });

/** A subset in the order of the table, as the parsers give it. */
function subset<Name extends string>(table: readonly Name[]): fc.Arbitrary<readonly Name[]> {
  return fc.subarray([...table]);
}

/** Leaves out what is undefined, as exact optional types want it. */
function optional<Shape extends object>(shape: { [Key in keyof Shape]: fc.Arbitrary<Shape[Key]> }): fc.Arbitrary<
  Partial<Shape>
> {
  return fc.record(shape, { requiredKeys: [] }) as fc.Arbitrary<Partial<Shape>>;
}

const configs = fc
  .tuple(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), optional({ config1: u64, config2: u64, config3: u64 }))
  .map(([config, more]) => ({ config, ...more }));
const hybrid = optional({ pmu: fc.integer({ min: 1, max: 0x7fff_ffff }) });

/** Sources without names that only a machine can resolve. */
export const resolvedSource: fc.Arbitrary<EventSource> = fc.oneof(
  fc.constantFrom(...SOFTWARE_EVENTS).map((name): EventSource => ({ kind: 'software', name })),
  fc
    .tuple(fc.constantFrom(...HARDWARE_EVENTS), hybrid)
    .map(([name, pmu]): EventSource => ({ kind: 'hardware', name, ...pmu })),
  fc
    .tuple(fc.constantFrom(...CACHES), fc.constantFrom(...CACHE_OPERATIONS), fc.constantFrom(...CACHE_RESULTS), hybrid)
    .map(([cache, operation, result, pmu]): EventSource => ({ kind: 'cache', cache, operation, result, ...pmu })),
  configs.map((words): EventSource => ({ kind: 'raw', ...words })),
  fc.tuple(dynamicPmu, configs).map(([pmu, words]): EventSource => ({ kind: 'pmu', pmu, ...words })),
  u32.map((id): EventSource => ({ kind: 'tracepoint', id })),
  fc
    .record({
      access: fc.constantFrom('r', 'w', 'rw', 'x'),
      address: fc.bigInt({ min: 0n, max: (1n << 64n) - 9n }),
      length: fc.integer({ min: 1, max: 8 }),
    })
    .map((fields): EventSource => ({ kind: 'breakpoint', ...fields })),
);

/** Sources with a name, for the JSON form only: the bytes do not hold names. */
export const namedSource: fc.Arbitrary<EventSource> = fc.oneof(
  fc
    .constantFrom('sched:sched_switch', 'probe_libc:malloc', 'intel-sst:x')
    .map((name): EventSource => ({ kind: 'tracepoint', name })),
  fc
    .tuple(fc.constantFrom('cpu', 'uncore_imc_0', 'armv8_pmuv3', 'msr'), configs)
    .map(([pmu, words]): EventSource => ({ kind: 'pmu', pmu, ...words })),
);

const flags = fc
  .array(fc.boolean(), { minLength: FLAG_FIELDS.length, maxLength: FLAG_FIELDS.length })
  .map((values) => flagFields((field) => values[FLAG_FIELDS.indexOf(field)] === true));

const lists = fc.record({
  exclude: subset(EXCLUSIONS),
  sampleType: subset(SAMPLE_FIELDS),
  readFormat: subset(READ_FORMATS),
  records: subset(SIDE_RECORDS),
  branch: subset(BRANCH_FILTERS),
});

const extras = optional<
  Pick<EventSpec, 'sampling' | 'wakeup' | 'clock' | 'regsUser' | 'regsIntr' | 'stackUser' | 'maxStack'>
>({
  sampling: fc.oneof(
    fc.bigInt({ min: 1n, max: (1n << 63n) - 1n }).map((period) => ({ period })),
    u32.map((frequency) => ({ frequency })),
  ),
  wakeup: fc.oneof(
    u32.map((events) => ({ events })),
    fc.integer({ min: 0, max: 0xffff_ffff }).map((bytes) => ({ bytes })),
  ),
  clock: fc.constantFrom(...CLOCKS),
  regsUser: u64,
  regsIntr: u64,
  stackUser: fc.integer({ min: 1, max: 8191 }).map((words) => 8 * words),
  maxStack: fc.integer({ min: 1, max: 0xffff }),
});

/** Valid events: what contradicts itself is taken back. */
export function eventSpec(source: fc.Arbitrary<EventSource>): fc.Arbitrary<EventSpec> {
  return fc
    .tuple(source, lists, flags, extras, fc.integer({ min: 0, max: 3 }))
    .map(([chosen, names, booleans, rest, preciseIp]) =>
      withoutConflicts({ source: chosen, ...names, ...booleans, ...rest, preciseIp }),
    );
}

function withoutConflicts(spec: EventSpec): EventSpec {
  const canBranch = spec.branch.some((name) => !['user', 'kernel', 'hv'].includes(name));
  return {
    ...spec,
    inheritThread: spec.inheritThread && spec.inherit,
    removeOnExec: spec.removeOnExec && !spec.enableOnExec,
    sampleType: spec.sampleType.filter(
      (name) =>
        !(name === 'weight_struct' && spec.sampleType.includes('weight')) &&
        !(name === 'regs_user' && spec.regsUser === undefined) &&
        !(name === 'regs_intr' && spec.regsIntr === undefined) &&
        !(name === 'branch_stack' && !canBranch),
    ),
  };
}
