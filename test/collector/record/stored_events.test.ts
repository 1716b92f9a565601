import test from 'ava';
import { recordingEvents } from '#dist/collector/event_defaults.js';
import { describeEvents, machineName } from '#dist/collector/record/stored_events.js';
import { viewAttr } from '#dist/formats/attr_view.js';
import { parseEvents } from '#dist/model/events/syntax/event_syntax.js';
import { fakeGrant } from '../count/fake_counters.js';

const style = { callGraph: false, inherit: true, enableOnExec: false };

test('an event has its name, its attr, and the id of each of its fds', (t) => {
  const specs = recordingEvents(parseEvents('cpu-clock:u,page-faults:u'), style);
  const grant = fakeGrant([0, 1, 0].map((event) => ({ event, words: () => [] })));
  const { events, tracingData } = describeEvents(specs, ['cpu-clock:u', 'page-faults:u'], grant);
  t.deepEqual(
    events.map(({ name, ids }) => ({ name, ids })),
    [
      { name: 'cpu-clock:u', ids: [0n, 2n] },
      { name: 'page-faults:u', ids: [1n] },
    ],
  );
  t.deepEqual(
    events.map(({ attr }) => viewAttr(attr).type),
    [1, 1],
  );
  t.is(tracingData, undefined);
});

test('a tracepoint brings its format, and its attr the number of that format', (t) => {
  const specs = recordingEvents(parseEvents('nosuch:tracepoint'), style);
  const { events, tracingData } = describeEvents(specs, ['nosuch:tracepoint'], fakeGrant([]));
  t.is(viewAttr(events[0]?.attr ?? new Uint8Array()).config, 1n);
  t.true(Buffer.from(tracingData ?? []).includes('ID: 1\n'));
});

test('the machine is named as by uname', (t) => {
  t.regex(machineName(), /^(x86_64|aarch64|[a-z0-9]+)$/);
  t.not(machineName(), 'x64');
});
