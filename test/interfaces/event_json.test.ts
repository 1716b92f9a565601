import { Buffer } from 'node:buffer';
import test from 'ava';
import fc from 'fast-check';
import { encodeAttr } from '#dist/model/events/attr/attr.js';
import { BrokerError } from '#dist/model/errors/errors.js';
import { bareEvent } from '#dist/model/events/event_defaults.js';
import { BROKER_INTERFACE } from '#dist/interfaces/broker_interface.js';
import { eventFromJson, eventsFromJson, eventToJson } from '#dist/interfaces/event_json.js';
import { validateStruct } from '#dist/varlink/validate.js';
import { eventSpec, namedSource, resolvedSource } from '../model/event_arbitrary.js';

const CPU_CLOCK = { kind: 'software', name: 'cpu-clock' } as const;

function refusal(json: unknown, parse: (json: unknown) => unknown = eventFromJson): BrokerError | undefined {
  try {
    parse(json);
  } catch (error) {
    if (error instanceof BrokerError) return error;
    throw error;
  }
  return undefined;
}

test('an event survives its JSON form and the wire', (t) => {
  fc.assert(
    fc.property(eventSpec(fc.oneof(resolvedSource, namedSource)), (spec) => {
      const { source, sampling } = spec;
      const isNamed =
        source.kind === 'tracepoint' ? 'name' in source : source.kind === 'pmu' && typeof source.pmu === 'string';
      const isHuge = sampling !== undefined && 'period' in sampling && sampling.period > 2n ** 53n - 1n;
      // Its bytes have no place for a name.
      if (isNamed && isHuge) return void t.throws(() => eventToJson(spec), { instanceOf: BrokerError });
      const wire = JSON.parse(JSON.stringify({ targets: [], events: [eventToJson(spec)] })) as { events: unknown[] };
      t.notThrows(() => validateStruct(BROKER_INTERFACE, BROKER_INTERFACE.methods['Open']!.input, wire));
      t.deepEqual(eventFromJson(wire.events[0]), spec);
    }),
    { numRuns: 500 },
  );
});

test('any JSON value is either an event or refused with a BrokerError', (t) => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (value, inner) => {
      refusal(value);
      refusal({ source: value });
      refusal({ source: CPU_CLOCK, sampling: value, wakeup: inner });
      refusal({ source: CPU_CLOCK, exclude: value, branch: inner, leader: value });
      t.pass();
    }),
    { numRuns: 500 },
  );
});

test('the shortest event counts and asks for nothing else', (t) => {
  t.deepEqual(eventFromJson({ source: CPU_CLOCK }), bareEvent(CPU_CLOCK));
});

test('null is absent, as in Varlink', (t) => {
  t.deepEqual(
    eventFromJson({ attr: null, source: CPU_CLOCK, sampling: null, exclude: null, inherit: null, leader: null }),
    bareEvent(CPU_CLOCK),
  );
});

test('the result is frozen through and through', (t) => {
  const spec = eventFromJson({ source: CPU_CLOCK, exclude: ['kernel'], sampling: { frequency: 99 } });
  t.true(
    Object.isFrozen(spec) &&
      Object.isFrozen(spec.source) &&
      Object.isFrozen(spec.exclude) &&
      Object.isFrozen(spec.sampling),
  );
});

test('64-bit fields are decimal, 0x-prefixed, or numbers that JSON keeps exact', (t) => {
  for (const config of ['18446744073709551615', '0xffffffffffffffff'])
    t.deepEqual(eventFromJson({ source: { kind: 'raw', config } }).source, { kind: 'raw', config: 2n ** 64n - 1n });
  t.deepEqual(eventFromJson({ source: { kind: 'raw', config: 450 } }).source, { kind: 'raw', config: 450n });
  for (const config of [
    '',
    '0x',
    '-1',
    '1.5',
    '1e3',
    ' 1',
    '0b1',
    '18446744073709551616',
    '0x10000000000000000',
    2 ** 53,
    -1,
    1.5,
    true,
    [],
  ])
    t.is(refusal({ source: { kind: 'raw', config } })?.code, 'bad-value', JSON.stringify(config));
});

test('zeros that mean the default are the same as absent', (t) => {
  const source = { kind: 'raw', config: '0x1', config1: '0', config2: 0, config3: '0x0' };
  t.deepEqual(
    eventFromJson({ source, regsUser: '0', regsIntr: 0, stackUser: 0, maxStack: 0 }),
    bareEvent({ kind: 'raw', config: 1n }),
  );
});

test('lists come out in the order of the kernel, from any order', (t) => {
  const spec = eventFromJson({ source: CPU_CLOCK, sampleType: ['tid', 'ip'], exclude: ['hv', 'kernel'] });
  t.deepEqual(spec.sampleType, ['ip', 'tid']);
  t.deepEqual(spec.exclude, ['kernel', 'hv']);
});

test('an attr in base64 is decoded, and may have a leader', (t) => {
  const spec = bareEvent(CPU_CLOCK);
  const attr = Buffer.from(encodeAttr(spec, {}, { disabled: true })).toString('base64');
  t.deepEqual(eventFromJson({ attr }), spec);
  t.deepEqual(eventFromJson({ attr, leader: 3 }), { ...spec, leader: 3 });
});

const refuses = test.macro({
  title: (_, json: unknown, code: string, message: string) =>
    `the event ${JSON.stringify(json).slice(0, 80)} is refused: ${code}, ${message}`,
  exec: (t, json: unknown, code: string, message: string) => {
    const error = refusal(json);
    t.is(error?.message, message);
    t.is(error?.code, code);
    t.is(error?.error, 'InvalidEvent');
    t.truthy(error?.explanation);
    t.truthy(error?.remedy);
  },
});
const source = CPU_CLOCK;
test(refuses, null, 'bad-value', 'event is not an object');
test(refuses, [], 'bad-value', 'event is not an object');
test(refuses, {}, 'missing-field', 'event.source is missing');
test(refuses, { source, colour: 1 }, 'unknown-field', 'event has no field "colour" (in this form)');
test(
  refuses,
  JSON.parse('{"source":{"kind":"software","name":"dummy"},"__proto__":{}}'),
  'unknown-field',
  'event has no field "__proto__" (in this form)',
);
test(
  refuses,
  { source, ['x'.repeat(70)]: 1 },
  'unknown-field',
  `event has no field "${'x'.repeat(64)}…" (in this form)`,
);
test(refuses, { attr: 'AAAA', source }, 'attr-size', 'attr has 3 bytes; it needs at least 64');
test(
  refuses,
  { attr: Buffer.from(encodeAttr(bareEvent(source))).toString('base64'), inherit: true },
  'unknown-field',
  'event has no field "inherit" (in this form)',
);
test(refuses, { attr: 'A' }, 'bad-value', 'event.attr is not base64');
test(refuses, { attr: 'AA\nA=' }, 'bad-value', 'event.attr is not base64');
test(refuses, { attr: 'A'.repeat(6000) }, 'attr-size', 'event.attr is longer than 4096 bytes');
test(refuses, { attr: 7 }, 'bad-value', 'event.attr is not a string');
test(
  refuses,
  { source: { kind: 'sofware' } },
  'unknown-name',
  'event.source.kind: "sofware" is not one of software, hardware, cache, raw, tracepoint, pmu, breakpoint',
);
test(refuses, { source: { kind: 'software' } }, 'missing-field', 'event.source.name is missing');
test(
  refuses,
  { source: { ...source, config: '1' } },
  'unknown-field',
  'event.source has no field "config" (in this form)',
);
test(refuses, { source: { kind: 'raw' } }, 'missing-field', 'event.source.config is missing');
test(refuses, { source: { kind: 'tracepoint', name: 'a:b', id: 1 } }, 'conflict', 'event.source has both name and id');
test(
  refuses,
  { source: { kind: 'tracepoint', name: '../../x:y' } },
  'bad-value',
  '"../../x:y" is not of the form subsystem:event',
);
test(
  refuses,
  { source: { kind: 'tracepoint', name: 'sched' } },
  'bad-value',
  '"sched" is not of the form subsystem:event',
);
test(refuses, { source: { kind: 'tracepoint', id: 0 } }, 'bad-value', 'event.source.id 0 is not 1 to 4294967295');
test(
  refuses,
  { source: { kind: 'pmu', pmu: '../cpu', config: '1' } },
  'bad-value',
  '"../cpu" is not the name of a PMU',
);
test(
  refuses,
  { source: { kind: 'pmu', pmu: 'uprobe', config: '1' } },
  'forbidden-pmu',
  'the PMU uprobe takes pointers, so the broker opens no events of it',
);
for (const pmu of ['intel_pt', 'arm_spe_0', 'cs_etm', 'hisi_ptt0_4'])
  test(
    refuses,
    { source: { kind: 'pmu', pmu, config: '1' } },
    'forbidden-pmu',
    `the PMU ${pmu} traces, so the broker opens no events of it`,
  );
test(
  refuses,
  { source: { kind: 'pmu', pmu: 'kprobe', config: '1' } },
  'forbidden-pmu',
  'the PMU kprobe takes pointers, so the broker opens no events of it',
);
test(
  refuses,
  { source: { kind: 'pmu', pmu: 'software', config: '1' } },
  'bad-value',
  'software is a kind of source, not a PMU with a config',
);
test(
  refuses,
  { source: { kind: 'pmu', pmuType: 1, config: '1' } },
  'bad-value',
  'event.source.pmuType 1 is not 6 to 2147483647',
);
test(
  refuses,
  { source: { kind: 'pmu', pmu: 'cpu', pmuType: 8, config: '1' } },
  'conflict',
  'event.source has both pmu and pmuType',
);
test(
  refuses,
  { source: { kind: 'breakpoint', access: 'r', address: '1', length: 9 } },
  'bad-value',
  'event.source.length 9 is not 1 to 8',
);
test(
  refuses,
  { source: { kind: 'breakpoint', access: 'r', address: '0xffffffffffffffff', length: 2 } },
  'bad-value',
  'the breakpoint reaches beyond the address space',
);
test(refuses, { source, exclude: 'kernel' }, 'bad-value', 'event.exclude is not a list');
test(refuses, { source, exclude: ['kernel', 'kernel'] }, 'bad-value', 'event.exclude names kernel twice');
test(refuses, { source, exclude: [1] }, 'bad-value', 'event.exclude has an element that is not a string');
test(refuses, { source, exclude: Array(9).fill('kernel') }, 'bad-value', 'event.exclude has more than 8 names');
test(
  refuses,
  { source, readFormat: ['groop'] },
  'unknown-name',
  'event.readFormat: "groop" is not one of total_time_enabled, total_time_running, id, group, lost',
);
test(refuses, { source, sampling: {} }, 'missing-field', 'event.sampling.period is missing');
test(
  refuses,
  { source, sampling: { period: 1, frequency: 1 } },
  'conflict',
  'event.sampling has both period and frequency',
);
test(refuses, { source, sampling: { period: 0 } }, 'bad-value', 'period 0 is not 1 to 2^63-1');
test(refuses, { source, sampling: { frequency: 0 } }, 'bad-value', 'event.sampling.frequency 0 is not 1 to 4294967295');
test(refuses, { source, sampling: { frequency: 0.5 } }, 'bad-value', 'event.sampling.frequency is not an integer');
test(refuses, { source, wakeup: { events: 1, bytes: 1 } }, 'conflict', 'event.wakeup has both events and bytes');
test(refuses, { source, inherit: 1 }, 'bad-value', 'event.inherit is not true or false');
test(refuses, { source, preciseIp: 4 }, 'bad-value', 'event.preciseIp 4 is not 0 to 3');
test(refuses, { source, stackUser: 12 }, 'bad-value', 'stackUser 12 is not a multiple of 8 up to 65528');
test(refuses, { source, stackUser: 65536 }, 'bad-value', 'event.stackUser 65536 is not 0 to 65528');
test(refuses, { source, maxStack: 65536 }, 'bad-value', 'event.maxStack 65536 is not 0 to 65535');
test(refuses, { source, leader: 16 }, 'bad-value', 'event.leader 16 is not 0 to 15');
test(refuses, { source, leader: -1 }, 'bad-value', 'event.leader -1 is not 0 to 15');
test(refuses, { source, leader: 0, pinned: true }, 'conflict', 'only the leader of a group can be pinned or exclusive');
test(refuses, { source, inheritThread: true }, 'conflict', 'inheritThread needs inherit');
test(
  refuses,
  { source, enableOnExec: true, removeOnExec: true },
  'conflict',
  'removeOnExec and enableOnExec exclude each other',
);
test(
  refuses,
  { source, sampleType: ['weight', 'weight_struct'] },
  'conflict',
  'sampleType holds weight and weight_struct: they exclude each other',
);
test(refuses, { source, sampleType: ['regs_user'] }, 'conflict', 'sampleType regs_user needs regsUser');
test(
  refuses,
  { source, sampleType: ['branch_stack'], branch: ['user'] },
  'conflict',
  'sampleType branch_stack needs a branch filter besides user, kernel and hv',
);

const refusesList = test.macro({
  title: (_, _json: unknown, code: string, message: string) => `a list of events is refused: ${code}, ${message}`,
  exec: (t, json: unknown, code: string, message: string) => {
    const error = refusal(json, eventsFromJson);
    t.is(error?.message, message);
    t.is(error?.code, code);
  },
});
test(refusesList, {}, 'bad-value', 'events is not a list');
test(refusesList, [], 'too-many-events', 'events has 0 entries, not 1 to 16');
test(refusesList, Array(17).fill({ source }), 'too-many-events', 'events has 17 entries, not 1 to 16');
test(refusesList, [{ source, leader: 0 }], 'leader', 'events[0].leader 0 does not come earlier');
test(
  refusesList,
  [{ source }, { source, leader: 0 }, { source, leader: 1 }],
  'leader',
  'events[2].leader 1 is itself a member of a group',
);
test(refusesList, [{ source }, { source: { kind: 'raw' } }], 'missing-field', 'events[1].source.config is missing');

test('a group is well formed when its leader comes earlier and leads itself', (t) => {
  t.deepEqual(
    eventsFromJson([{ source }, { source, leader: 0 }, { source }, { source, leader: 2 }]).map(({ leader }) => leader),
    [undefined, 0, undefined, 2],
  );
});
