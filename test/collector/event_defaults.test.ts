import test from 'ava';
import { DEFAULT_FREQUENCY, recordingEvents } from '#dist/collector/event_defaults.js';
import { parseEvents } from '#dist/model/events/syntax/event_syntax.js';

const style = { callGraph: false, inherit: true, enableOnExec: false };

test('events are sampled at the default frequency, tracepoints at every hit', (t) => {
  const [clock, tracepoint] = recordingEvents(parseEvents('cpu-clock:u,sched:sched_switch'), style);
  t.deepEqual(clock?.sampling, { frequency: DEFAULT_FREQUENCY });
  t.deepEqual(tracepoint?.sampling, { period: 1n });
});

test('a frequency that was asked for holds for tracepoints as well', (t) => {
  for (const event of recordingEvents(parseEvents('cpu-clock:u,sched:sched_switch'), {
    ...style,
    sampling: { frequency: 50 },
  }))
    t.deepEqual(event.sampling, { frequency: 50 });
});

test('the style of the recording is that of each event', (t) => {
  for (const enableOnExec of [true, false])
    for (const inherit of [true, false]) {
      const [event] = recordingEvents(parseEvents('cpu-clock:u'), { callGraph: true, inherit, enableOnExec });
      t.like(event, { inherit, enableOnExec });
      t.true(event?.sampleType.includes('callchain'));
    }
});
