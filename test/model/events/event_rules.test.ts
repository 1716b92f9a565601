import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { BrokerError } from '#dist/model/errors/errors.js';
import type { EventSpec } from '#dist/model/event.js';
import { bareEvent } from '#dist/model/events/event_defaults.js';
import { checkEvent, forbiddenPmu, quoted } from '#dist/model/events/event_rules.js';
import { eventSpec, namedSource, resolvedSource } from '../event_arbitrary.js';

const VALID = bareEvent({ kind: 'software', name: 'cpu-clock' });
const refuses = test.macro({
  title: (_, changes: Partial<EventSpec>, code: string) =>
    `${JSON.stringify(changes, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value))} is refused: ${code}`,
  exec: (t: ExecutionContext, changes: Partial<EventSpec>, code: string, message: RegExp) => {
    const error = t.throws(() => checkEvent({ ...VALID, ...changes }), { instanceOf: BrokerError, message });
    t.like(error, { error: 'InvalidEvent', code });
  },
});
test(refuses, { preciseIp: 4 }, 'bad-value', /preciseIp 4 is not 0 to 3/);
test(refuses, { preciseIp: 0.5 }, 'bad-value', /preciseIp/);
test(refuses, { inheritThread: true }, 'conflict', /needs inherit/);
test(refuses, { removeOnExec: true, enableOnExec: true }, 'conflict', /exclude each other/);
test(refuses, { leader: 0, pinned: true }, 'conflict', /only the leader/);
test(refuses, { sampling: { period: 0n } }, 'bad-value', /period 0/);
test(refuses, { sampling: { period: 1n << 63n } }, 'bad-value', /period/);
test(refuses, { sampling: { frequency: NaN } }, 'bad-value', /frequency NaN/);
test(refuses, { stackUser: 12 }, 'bad-value', /multiple of 8/);
test(refuses, { maxStack: -1 }, 'bad-value', /maxStack/);
test(refuses, { sampleType: ['regs_user'] }, 'conflict', /regsUser/);
test(refuses, { sampleType: ['branch_stack'], branch: ['user'] }, 'conflict', /branch filter/);
test(refuses, { source: { kind: 'tracepoint', name: '../../etc:passwd' } }, 'bad-value', /subsystem:event/);
test(refuses, { source: { kind: 'pmu', pmu: 'kprobe', config: 0n } }, 'forbidden-pmu', /takes pointers/);
test(refuses, { source: { kind: 'pmu', pmu: 3, config: 0n } }, 'bad-value', /dynamic PMU/);
test(
  refuses,
  { source: { kind: 'breakpoint', access: 'r', address: (1n << 64n) - 4n, length: 8 } },
  'bad-value',
  /beyond/,
);

test('every event that the tests generate is valid', (t) => {
  fc.assert(
    fc.property(eventSpec(fc.oneof(resolvedSource, namedSource)), (spec) => t.notThrows(() => checkEvent(spec))),
  );
});

test('PMUs of pointers and traces are forbidden, and others are not', (t) => {
  for (const name of ['kprobe', 'uprobe', 'intel_pt', 'intel_bts', 'arm_spe_0', 'cs_etm', 'hisi_ptt3_1'])
    t.truthy(forbiddenPmu(name), name);
  for (const name of ['cpu', 'msr', 'kprobes', 'uncore_imc_0']) t.is(forbiddenPmu(name), null, name);
});

test('text of a request is quoted, escaped and cut', (t) => {
  t.is(quoted('a"b\n'), '"a\\"b\\u{000a}"');
  t.true(quoted('x'.repeat(1000)).length < 80);
});
