import test from 'ava';
import { withCounting, withSampling } from '#dist/model/events/event_defaults.js';
import { eventFromJson, eventToJson } from '#dist/interfaces/event_json.js';
import { parseEvents } from '#dist/model/events/syntax/event_syntax.js';

const SAMPLING = { frequency: 99 };

test('counting reads the times that scaling needs', (t) => {
  const [spec] = withCounting(parseEvents('cycles/freq=99/u'), { inherit: true, enableOnExec: true });
  t.like(spec, {
    readFormat: ['total_time_enabled', 'total_time_running'],
    inherit: true,
    enableOnExec: true,
    exclude: ['kernel', 'hv'],
  });
  t.is(spec?.sampling, undefined);
});

test('every sample says which event it is of, and the first event records mappings for all', (t) => {
  const events = withSampling(parseEvents('cpu-clock,cs:u'), { sampling: SAMPLING });
  for (const spec of events)
    t.like(spec, {
      sampling: SAMPLING,
      sampleIdAll: true,
      readFormat: ['id', 'lost'],
      sampleType: ['ip', 'tid', 'time', 'cpu', 'period', 'identifier'],
    });
  t.deepEqual(
    events.map(({ records }) => records),
    [['mmap', 'mmap2', 'comm', 'comm_exec', 'task'], []],
  );
});

test('an event keeps the sampling that it was written with', (t) => {
  const events = withSampling(parseEvents('cpu-clock/period=1000/,cs'), { sampling: SAMPLING });
  t.deepEqual(
    events.map(({ sampling }) => sampling),
    [{ period: 1000n }, SAMPLING],
  );
});

test('tracepoints bring their data, breakpoints their address, stacks their registers', (t) => {
  const [tracepoint, breakpoint] = withSampling(parseEvents('sched:sched_switch,mem:0x1000'), {
    sampling: { period: 1n },
    callchain: true,
    stack: { bytes: 8192, registers: 0xff0fffn },
  });
  t.deepEqual(tracepoint?.sampleType, [
    'ip',
    'tid',
    'time',
    'callchain',
    'cpu',
    'period',
    'raw',
    'regs_user',
    'stack_user',
    'identifier',
  ]);
  t.true(tracepoint?.records.includes('mmap_data'));
  t.like(breakpoint, { stackUser: 8192, regsUser: 0xff0fffn });
  t.true(breakpoint?.sampleType.includes('addr'));
});

test('a group that reads its members asks for all that reading needs', (t) => {
  const events = withSampling(parseEvents('{cycles,cs}:S'), { sampling: SAMPLING, lost: false });
  for (const { readFormat } of events)
    t.deepEqual(readFormat, ['total_time_enabled', 'total_time_running', 'id', 'group']);
});

test('the broker accepts the fields that the defaults add', (t) => {
  const bare = parseEvents('cpu-clock:u,{cycles,cs}:S,mem:0x1000:x');
  const all = [
    ...withCounting(bare, { inherit: true }),
    ...withSampling(bare, {
      sampling: SAMPLING,
      callchain: true,
      maxStack: 64,
      clock: 'monotonic',
      wakeupBytes: 4096,
      stack: { bytes: 1024, registers: 1n },
    }),
  ];
  for (const spec of all) t.deepEqual(eventFromJson(JSON.parse(JSON.stringify(eventToJson(spec)))), spec);
});
