import test from 'ava';
import fc from 'fast-check';
import { BrokerError } from '#dist/model/errors/errors.js';
import type { EventSource, EventSpec, Exclusion } from '#dist/model/event.js';
import { bareEvent } from '#dist/model/events/event_defaults.js';
import { eventName } from '#dist/model/events/syntax/event_name.js';
import { parseEvents } from '#dist/model/events/syntax/event_syntax.js';
import type { PmuReader } from '#dist/model/events/syntax/pmu_format.js';

const FILES: Readonly<Record<string, string>> = {
  'cpu/type': '4\n',
  'cpu/caps/max_precise': '2\n',
  'cpu/format/event': 'config:0-7\n',
  'cpu/format/umask': 'config:8-15\n',
  'cpu/format/edge': 'config:18\n',
  'cpu/format/split': 'config1:0-3,32-35\n',
  'cpu/format/broken': 'config9:0-99\n',
  'cpu/events/cache-misses': 'event=0x2e,umask=0x41\n',
  'cpu/events/needs-value': 'event=0x2e,umask=?\n',
  'uncore_imc_0/type': '14\n',
};
const pmus: PmuReader = {
  read: (path) => FILES[path],
  list: (path) => {
    const prefix = path === '' ? '' : `${path}/`;
    const below = Object.keys(FILES).filter((name) => name.startsWith(prefix));
    return [...new Set(below.map((name) => name.slice(prefix.length).split('/')[0] ?? ''))];
  },
};

function one(text: string): EventSpec {
  const [spec, ...more] = parseEvents(text, { pmus });
  if (spec === undefined || more.length > 0) throw new Error(`${text} is not one event`);
  return spec;
}

const reads = test.macro({
  title: (_, text: string) => `${text} is read as perf reads it`,
  exec: (t, text: string, source: EventSource, changes: Partial<EventSpec> = {}) => {
    t.deepEqual(one(text), { ...bareEvent(source), ...changes });
  },
});
const CYCLES: EventSource = { kind: 'hardware', name: 'cpu-cycles' };
const USER: Partial<EventSpec> = { exclude: ['kernel', 'hv'] };
test(reads, 'cpu-clock', { kind: 'software', name: 'cpu-clock' });
test(reads, 'cs', { kind: 'software', name: 'context-switches' });
test(reads, 'faults:u', { kind: 'software', name: 'page-faults' }, USER);
test(reads, 'migrations', { kind: 'software', name: 'cpu-migrations' });
test(reads, 'cycles', CYCLES);
test(reads, 'cpu-cycles:u', CYCLES, USER);
test(reads, 'branches', { kind: 'hardware', name: 'branch-instructions' });
test(reads, 'idle-cycles-backend', { kind: 'hardware', name: 'stalled-cycles-backend' });
test(reads, 'cycles:k', CYCLES, { exclude: ['user', 'hv'] });
test(reads, 'cycles:uk', CYCLES, { exclude: ['hv'] });
test(reads, 'cycles:h', CYCLES, { exclude: ['user', 'kernel'] });
test(reads, 'cycles:pp', CYCLES, { exclude: ['guest'], preciseIp: 2 });
test(reads, 'cycles:upp', CYCLES, { exclude: ['kernel', 'hv', 'guest'], preciseIp: 2 });
test(reads, 'cycles:ppp', CYCLES, { exclude: ['guest'], preciseIp: 3 });
test(reads, 'cycles:P', CYCLES, { preciseIp: 2 });
test(reads, 'cycles:H', CYCLES, { exclude: ['guest'] });
test(reads, 'cycles:G', CYCLES, { exclude: ['host'] });
test(reads, 'cycles:GH', CYCLES);
test(reads, 'cycles:I', CYCLES, { exclude: ['idle'] });
test(reads, 'cycles:S', CYCLES, { sampleType: ['read'] });
test(reads, 'cycles:De', CYCLES, { pinned: true, exclusive: true });
test(reads, 'r01c2', { kind: 'raw', config: 0x1c2n });
test(reads, 'r0x1A8:u', { kind: 'raw', config: 0x1a8n }, USER);
test(reads, 'L1-dcache-load-misses', { kind: 'cache', cache: 'L1-dcache', operation: 'load', result: 'miss' });
test(reads, 'L1-dcache-loads', { kind: 'cache', cache: 'L1-dcache', operation: 'load', result: 'access' });
test(reads, 'LLC-store-misses:u', { kind: 'cache', cache: 'LLC', operation: 'store', result: 'miss' }, USER);
test(reads, 'dTLB-prefetches', { kind: 'cache', cache: 'dTLB', operation: 'prefetch', result: 'access' });
test(reads, 'l1d-speculative-read-miss', { kind: 'cache', cache: 'L1-dcache', operation: 'prefetch', result: 'miss' });
test(reads, 'LLC-misses', { kind: 'cache', cache: 'LLC', operation: 'load', result: 'miss' });
test(reads, 'sched:sched_switch', { kind: 'tracepoint', name: 'sched:sched_switch' });
test(reads, 'sched:sched_switch:k', { kind: 'tracepoint', name: 'sched:sched_switch' }, { exclude: ['user', 'hv'] });
test(reads, 'mem:0x1000/8:rw', { kind: 'breakpoint', access: 'rw', address: 0x1000n, length: 8 });
test(reads, 'mem:0x1000', { kind: 'breakpoint', access: 'rw', address: 0x1000n, length: 4 });
test(reads, 'mem:4096:wr:u', { kind: 'breakpoint', access: 'rw', address: 0x1000n, length: 4 }, USER);
test(reads, 'mem:0x1000:x:u', { kind: 'breakpoint', access: 'x', address: 0x1000n, length: 8 }, USER);
test(reads, 'mem:0x1000/2:u', { kind: 'breakpoint', access: 'rw', address: 0x1000n, length: 2 }, USER);
test(reads, 'cpu/event=0x3c,umask=0x1/u', { kind: 'pmu', pmu: 'cpu', config: 0x13cn }, USER);
test(reads, 'cpu/event=0x3c/:u', { kind: 'pmu', pmu: 'cpu', config: 0x3cn }, USER);
test(reads, 'cpu/event=60,edge/', { kind: 'pmu', pmu: 'cpu', config: 0x4003cn });
test(reads, 'cpu/split=0xa5/', { kind: 'pmu', pmu: 'cpu', config: 0n, config1: 0xa_0000_0005n });
test(reads, 'cpu/cache-misses/', { kind: 'pmu', pmu: 'cpu', config: 0x412en });
test(reads, 'cpu/cache-misses,umask=0x1/', { kind: 'pmu', pmu: 'cpu', config: 0x12en });
test(reads, 'cpu/r1a8/', { kind: 'pmu', pmu: 'cpu', config: 0x1a8n });
test(reads, 'uncore_imc_0/config=0x304,config1=1,config3=0/', {
  kind: 'pmu',
  pmu: 'uncore_imc_0',
  config: 0x304n,
  config1: 1n,
});
test(reads, 'cycles/freq=99/u', CYCLES, { ...USER, sampling: { frequency: 99 } });
test(reads, 'cpu/event=1,period=1000/', { kind: 'pmu', pmu: 'cpu', config: 1n }, { sampling: { period: 1000n } });

test('a list is read in order, spaces around its events do not matter', (t) => {
  t.deepEqual(parseEvents(' cpu-clock , cs:u ').map(eventName), ['cpu-clock', 'context-switches:u']);
});

test('the commas of terms do not end an event', (t) => {
  t.deepEqual(parseEvents('cs,cpu/event=1,umask=2/,faults', { pmus }).map(eventName), [
    'context-switches',
    'cpu/config=0x201/',
    'page-faults',
  ]);
});

test('the first event of a group leads the others, by its index in the whole list', (t) => {
  t.deepEqual(
    parseEvents('cs,{cycles,instructions,faults},cs').map(({ leader }) => leader),
    [undefined, undefined, 1, 1, undefined],
  );
});

test("a group's modifiers come on top of its members' own", (t) => {
  const excluded = (text: string): readonly (readonly Exclusion[])[] => parseEvents(text).map(({ exclude }) => exclude);
  t.deepEqual(excluded('{cycles,instructions}:u'), [
    ['kernel', 'hv'],
    ['kernel', 'hv'],
  ]);
  t.deepEqual(excluded('{cycles,instructions:k}:u'), [['kernel', 'hv'], ['hv']]);
});

test('a group is pinned through its leader', (t) => {
  t.deepEqual(
    parseEvents('{cycles,instructions}:D').map(({ pinned }) => pinned),
    [true, false],
  );
});

test('a parsed event is frozen through and through', (t) => {
  const events = parseEvents('{cycles:u,cs}');
  t.true(
    Object.isFrozen(events) &&
      events.every((spec) => Object.isFrozen(spec) && Object.isFrozen(spec.exclude) && Object.isFrozen(spec.source)),
  );
});

function refusal(text: string): BrokerError | undefined {
  try {
    parseEvents(text, { pmus });
  } catch (error) {
    if (error instanceof BrokerError) return error;
    throw error;
  }
  return undefined;
}

/** A text of thousands of characters only shows its beginning. */
const titleOf = (text: string): string => JSON.stringify(text.length > 100 ? `${text.slice(0, 20)}…` : text);

const refuses = test.macro({
  title: (_, text: string, code: string, message: string) => `${titleOf(text)} is refused: ${code}, ${message}`,
  exec: (t, text: string, code: string, message: string) => {
    const error = refusal(text);
    t.is(error?.message, message);
    t.is(error?.code, code);
  },
});
const at = (position: number, problem: string): string => `event list, position ${position}: ${problem}`;
test(refuses, '', 'syntax', at(1, 'an event is missing'));
test(refuses, 'cs,', 'syntax', at(4, 'an event is missing'));
test(refuses, 'cs,,cs', 'syntax', at(4, 'an event is missing'));
test(refuses, 'cpu-clok', 'unknown-name', at(1, 'there is no event "cpu-clok"; did you mean cpu-clock?'));
test(
  refuses,
  'cs,L1-dcache-load-mises:u',
  'unknown-name',
  at(4, 'there is no event "L1-dcache-load-mises"; did you mean L1-dcache-load-misses?'),
);
test(refuses, 'page-fault:u', 'unknown-name', at(1, 'there is no event "page-fault"; did you mean page-faults?'));
test(refuses, 'quite-something', 'unknown-name', at(1, 'there is no event "quite-something"'));
test(refuses, 'constructor', 'unknown-name', at(1, 'there is no event "constructor"'));
test(
  refuses,
  'cs:z',
  'syntax',
  at(
    4,
    'modifier "z": it is not one of u k h (levels), p pp ppp P (precise), G H (guest, host), I (not idle), S (read), D (pinned), e (exclusive)',
  ),
);
test(refuses, 'cs:uu', 'syntax', at(5, 'modifier u is given twice'));
test(refuses, 'cycles:pppp', 'syntax', at(11, 'modifier p is given more than three times'));
test(refuses, 'cycles:W', 'syntax', at(8, 'modifier "W": weak groups are not supported'));
test(refuses, 'cycles:b', 'syntax', at(8, 'modifier "b": counting by BPF is not supported'));
test(refuses, 'cs:', 'syntax', at(4, 'modifiers are missing'));
test(refuses, 'cs:u:k', 'syntax', at(1, '"cs:u:k" has more than one list of modifiers'));
test(refuses, '{cs,faults', 'syntax', at(1, 'the group is not closed by }'));
test(refuses, '{}', 'syntax', at(2, 'an event is missing'));
test(refuses, '{cs}:', 'syntax', at(6, 'modifiers are missing'));
test(refuses, '{cs,{faults}}', 'syntax', at(5, 'an event is missing'));
test(refuses, 'cs}', 'syntax', at(3, '"}" is not expected here'));
test(refuses, '{cs}cs', 'syntax', at(5, '"cs" is not expected here'));
test(refuses, '{cs,faults:D}', 'conflict', 'only the leader of a group can be pinned or exclusive');
test(refuses, 'sched:*', 'syntax', at(1, 'patterns are not supported: name one event'));
test(refuses, 'a:b:c:d', 'syntax', at(1, '"a:b:c:d" is not of the form subsystem:event[:modifiers]'));
test(refuses, '../x/u', 'unknown-pmu', at(1, 'there is no PMU ".." here'));
test(
  refuses,
  'sched:sched_switch:z',
  'syntax',
  at(
    20,
    'modifier "z": it is not one of u k h (levels), p pp ppp P (precise), G H (guest, host), I (not idle), S (read), D (pinned), e (exclusive)',
  ),
);
test(refuses, 'mem:zz', 'syntax', at(1, '"mem:zz" is not of the form mem:ADDRESS[/LENGTH][:rwx][:MODIFIERS]'));
test(refuses, 'mem:0x1000:rx', 'syntax', at(1, 'access "rx" is not one of r, w, rw, x'));
test(refuses, 'mem:0x1000/9', 'bad-value', 'breakpoint length 9 is not 1 to 8');
test(refuses, 'mem:99999999999999999999', 'bad-value', 'the breakpoint reaches beyond the address space');
test(refuses, 'cpo/event=1/', 'unknown-pmu', at(1, 'there is no PMU "cpo" here; did you mean cpu?'));
test(refuses, 'cpu/event=1', 'syntax', at(1, 'the terms are not closed by /'));
test(refuses, 'cpu/evnt=1/', 'syntax', at(5, 'PMU cpu has no term evnt; did you mean event?'));
test(refuses, 'cpu/umask=1,event=0x1ff/', 'syntax', at(13, 'event=0x1ff does not fit into its bits'));
test(refuses, 'cpu/event=x/', 'syntax', at(5, 'event needs a number'));
test(refuses, 'cpu/config/', 'syntax', at(5, 'config needs a number'));
test(refuses, 'cpu/broken=1/', 'syntax', at(5, 'the format of broken is not understood'));
test(refuses, 'cpu/needs-value/', 'syntax', at(5, 'needs-value needs a value for umask: write its terms instead'));
test(refuses, 'cpu/../x/', 'syntax', at(5, '".." is not a term'));
test(refuses, 'cycles/umask=1/', 'syntax', at(8, 'cycles only takes the terms period and freq'));
test(refuses, 'cycles/freq=99,period=1/', 'syntax', at(16, 'period and freq exclude each other'));
test(refuses, 'cycles/freq=x/', 'syntax', at(8, 'freq needs a number'));
test(refuses, Array(17).fill('cs').join(), 'too-many-events', 'the list has 17 events; the limit is 16');
test(refuses, 'c'.repeat(4097), 'syntax', 'the list of events is longer than 4096 characters');

test('a PMU that holds pointers is refused by name even when the machine has it', (t) => {
  const error = t.throws(() => parseEvents('uprobe/config=1/'), { instanceOf: BrokerError });
  t.is(error.code, 'forbidden-pmu');
});

test('any text is either read or refused with a BrokerError', (t) => {
  const letters = fc.constantFrom(
    'cpu',
    'cs',
    'mem:0x10',
    'sched:x',
    'r1',
    '{',
    '}',
    ',',
    ':',
    '/',
    '=',
    'u',
    'p',
    'D',
    ' ',
    '0x',
    'event',
    '\u0000',
    'é',
  );
  fc.assert(
    fc.property(fc.array(letters, { maxLength: 12 }), (parts) => {
      refusal(parts.join(''));
      t.pass();
    }),
    { numRuns: 2000 },
  );
});

test('a name that was written is read back as the same event', (t) => {
  const texts = fc.record({
    name: fc.constantFrom(
      'cpu-clock',
      'cycles',
      'branches',
      'r1c2',
      'L1-dcache-prefetches',
      'node-store-misses',
      'sched:sched_switch',
      'mem:0x1000/8:x',
      'cpu/config=0x3c,config1=0x2/',
    ),
    modifiers: fc.subarray(['u', 'k', 'h', 'p', 'p', 'G', 'H', 'I', 'S', 'D', 'e']),
  });
  fc.assert(
    fc.property(texts, ({ name, modifiers }) => {
      const letters = modifiers.join('');
      const spec = one(letters === '' || name.endsWith('/') ? name + letters : `${name}:${letters}`);
      t.deepEqual(one(eventName(spec)), spec, eventName(spec));
    }),
    { numRuns: 1000 },
  );
});

test('events of which only numbers are known still have a name', (t) => {
  t.is(eventName(bareEvent({ kind: 'tracepoint', id: 316 })), 'tracepoint/id=316/');
  t.is(eventName(bareEvent({ kind: 'pmu', pmu: 8, config: 1n })), '8/config=0x1/');
  t.is(eventName({ ...bareEvent(CYCLES), exclude: ['kernel'] }), 'cycles:uh');
});
