import test from 'ava';
import { eventClasses } from '#dist/model/events/classify.js';
import { SIDE_RECORDS, SAMPLE_FIELDS, type EventClass, type EventSource, type EventSpec } from '#dist/model/event.js';
import { bareEvent } from '#dist/model/events/event_defaults.js';

const CPU_CLOCK: EventSource = { kind: 'software', name: 'cpu-clock' };
const breakpoint = (address: bigint, length = 8): EventSource => ({
  kind: 'breakpoint',
  access: 'rw',
  address,
  length,
});

const belongs = test.macro({
  title: (_, source: EventSource, changes: Partial<EventSpec>, classes: readonly EventClass[]) =>
    `${source.kind} with ${JSON.stringify({ source, changes }, (_key, value: unknown) => (typeof value === 'bigint' ? `0x${value.toString(16)}` : value))} belongs to ${classes.join(' and ')}`,
  exec: (t, source: EventSource, changes: Partial<EventSpec>, classes: readonly EventClass[]) => {
    t.deepEqual(eventClasses({ ...bareEvent(source), ...changes }), classes);
  },
});
const user: Partial<EventSpec> = { exclude: ['kernel'] };
test(belongs, CPU_CLOCK, user, ['user']);
test(belongs, CPU_CLOCK, {}, ['user', 'kernel']);
test(belongs, CPU_CLOCK, { exclude: ['user', 'hv'] }, ['user', 'kernel']);
test(belongs, CPU_CLOCK, { exclude: ['callchain_kernel'] }, ['user', 'kernel']);
test(belongs, { kind: 'hardware', name: 'cpu-cycles' }, user, ['user']);
test(belongs, { kind: 'cache', cache: 'LLC', operation: 'load', result: 'miss' }, user, ['user']);
test(belongs, { kind: 'raw', config: 1n }, user, ['raw']);
test(belongs, { kind: 'raw', config: 1n }, {}, ['raw', 'kernel']);
test(belongs, { kind: 'pmu', pmu: 'msr', config: 0n }, user, ['raw']);
test(belongs, { kind: 'tracepoint', name: 'sched:sched_switch' }, {}, ['tracepoint', 'kernel']);
test(belongs, { kind: 'tracepoint', id: 1 }, user, ['tracepoint']);
test(belongs, breakpoint(0x1000n), user, ['breakpoint']);
test(belongs, breakpoint((1n << 47n) - 8n), user, ['breakpoint']);
test(belongs, breakpoint((1n << 47n) - 7n), user, ['breakpoint', 'kernel']);
test(belongs, breakpoint(0xffff_ffff_8000_0000n), user, ['breakpoint', 'kernel']);
test(belongs, CPU_CLOCK, { ...user, branch: ['user', 'any'] }, ['user']);
test(belongs, CPU_CLOCK, { ...user, branch: ['kernel', 'any'] }, ['user', 'kernel']);
test(belongs, CPU_CLOCK, { ...user, branch: ['hv', 'any'] }, ['user', 'kernel']);

test('of the sample fields, physical addresses and interrupt registers alone are of the kernel', (t) => {
  const kernel = SAMPLE_FIELDS.filter((name) =>
    eventClasses({ ...bareEvent(CPU_CLOCK), ...user, sampleType: [name] }).includes('kernel'),
  );
  t.deepEqual(kernel, ['regs_intr', 'phys_addr']);
});

test('of the side records, namespaces, kernel symbols, BPF programs and text pokes alone are of the kernel', (t) => {
  const kernel = SIDE_RECORDS.filter((name) =>
    eventClasses({ ...bareEvent(CPU_CLOCK), ...user, records: [name] }).includes('kernel'),
  );
  t.deepEqual(kernel, ['namespaces', 'ksymbol', 'bpf_event', 'text_poke']);
});
