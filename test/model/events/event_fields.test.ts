import { readFileSync } from 'node:fs';
import test from 'ava';
import { BrokerError } from '#dist/model/errors/errors.js';
import { EVENT_CLASSES, type EventSource } from '#dist/model/event.js';
import { bareEvent } from '#dist/model/events/event_defaults.js';
import { EventFlag } from '#dist/model/event_flags.js';
import { eventFields } from '#dist/model/events/event_fields.js';
import { eventFromJson } from '#dist/interfaces/event_json.js';
import { MAX_EVENTS } from '#dist/model/events/event_rules.js';

const PROTOCOL = readFileSync('native/protocol/opener.h', 'utf8');

/** Names and bit numbers of `enum NAME` in protocol.h, without the mask of all. */
function enumerators(name: string): readonly (readonly [string, number])[] {
  const body = new RegExp(`enum ${name}[^{]*\\{([^}]*)\\}`).exec(PROTOCOL)?.[1] ?? '';
  return [...body.matchAll(/\bk(\w+) = 1u(?:ll)? << (\d+),/g)].map(
    ([, flag = '', bit]) => [flag, Number(bit)] as const,
  );
}

test('event classes have the bits of Ceiling in native/protocol/opener.h', (t) => {
  const expected = enumerators('Ceiling').map(([name, bit]) => [
    name.replaceAll(/(?<=[a-z])(?=[A-Z])/g, '-').toLowerCase(),
    bit,
  ]);
  t.deepEqual(
    EVENT_CLASSES.map((name, bit) => [name, bit]),
    expected,
  );
});

test('a request holds as many events as the opener takes', (t) => {
  t.is(Number(/kMaxEvents = (\d+)/.exec(PROTOCOL)?.[1]), MAX_EVENTS);
});

test('every field of an event has its number', (t) => {
  const spec = eventFromJson({
    source: { kind: 'pmu', pmu: 'cpu', config: '0x3c', config1: 1, config2: 2, config3: 3 },
    exclude: ['kernel', 'hv'],
    sampling: { frequency: 99 },
    sampleType: ['ip', 'tid', 'regs_user'],
    readFormat: ['id', 'lost'],
    records: ['mmap', 'comm_exec'],
    sampleIdAll: true,
    inherit: true,
    preciseIp: 2,
    wakeup: { bytes: 4096 },
    clock: 'monotonic_raw',
    branch: ['user', 'any'],
    regsUser: '0xff0fff',
    regsIntr: 7,
    stackUser: 8192,
    maxStack: 64,
  });
  t.deepEqual(eventFields(spec, { pmuType: 4 }), {
    type: 4,
    wakeup: 4096,
    config: 0x3cn,
    config1: 1n,
    config2: 2n,
    config3: 3n,
    samplePeriod: 99n,
    sampleType: 0x1003n,
    readFormat: 0x14n,
    branchSampleType: 0x9n,
    sampleRegsUser: 0xff0fffn,
    sampleRegsIntr: 7n,
    flags:
      EventFlag.excludeKernel |
      EventFlag.excludeHv |
      EventFlag.freq |
      EventFlag.mmap |
      EventFlag.commExec |
      EventFlag.sampleIdAll |
      EventFlag.inherit |
      EventFlag.watermark |
      EventFlag.useClockid,
    sampleStackUser: 8192,
    bpType: 0,
    clockid: 4,
    sampleMaxStack: 64,
    preciseIp: 2,
  });
});

const numbers = test.macro({
  title: (_, source: EventSource) => `a ${source.kind} source has the type and config that perf_event_open(2) gives it`,
  exec: (t, source: EventSource, type: number, config: bigint) => {
    const fields = eventFields(bareEvent(source), { pmuType: 9, tracepointId: 316 });
    t.is(fields.type, type);
    t.is(fields.config, config);
  },
});
test(numbers, { kind: 'hardware', name: 'branch-misses', pmu: 8 }, 0, 0x8_0000_0005n);
test(numbers, { kind: 'software', name: 'bpf-output' }, 1, 10n);
test(numbers, { kind: 'tracepoint', name: 'sched:sched_switch' }, 2, 316n);
test(numbers, { kind: 'cache', cache: 'LLC', operation: 'store', result: 'miss' }, 3, 0x10102n);
test(numbers, { kind: 'raw', config: 0x1c2n }, 4, 0x1c2n);
test(numbers, { kind: 'pmu', pmu: 'msr', config: 1n }, 9, 1n);

test('a breakpoint has its address and length where the kernel has them', (t) => {
  const fields = eventFields(bareEvent({ kind: 'breakpoint', access: 'rw', address: 0x1000n, length: 8 }));
  t.like(fields, { type: 5, config: 0n, config1: 0x1000n, config2: 8n, bpType: 3 });
});

test('a name that was not resolved is refused, and so is a PMU that resolves to a fixed type', (t) => {
  const tracepoint = bareEvent({ kind: 'tracepoint', name: 'sched:sched_switch' });
  t.like(
    t.throws(() => eventFields(tracepoint), { instanceOf: BrokerError }),
    { code: 'unknown-tracepoint' },
  );
  const pmu = bareEvent({ kind: 'pmu', pmu: 'cpu', config: 0n });
  t.like(
    t.throws(() => eventFields(pmu), { instanceOf: BrokerError }),
    { code: 'unknown-pmu' },
  );
  for (const pmuType of [0, 1, 2, 3, 5])
    t.like(
      t.throws(() => eventFields(pmu, { pmuType }), { instanceOf: BrokerError }),
      { code: 'unknown-pmu' },
    );
});
