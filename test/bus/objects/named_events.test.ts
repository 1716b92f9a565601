import test from 'ava';
import { expandEvents } from '#dist/bus/objects/named_events.js';
import { eventsFromJson } from '#dist/interfaces/event_json.js';
import type { Json } from '#dist/bus/objects/variants.js';

test('a name counts, a name with a frequency or a period samples', (t) => {
  const [counting, sampling, period] = eventsFromJson(
    expandEvents([
      { name: 'page-faults:u', inherit: true },
      { name: 'cpu-clock', frequency: 99, callchain: true, enableOnExec: true },
      { name: 'task-clock', period: 1000 },
    ]),
  );
  t.like(counting, { source: { kind: 'software', name: 'page-faults' }, exclude: ['kernel', 'hv'], inherit: true });
  t.is(counting!.sampling, undefined);
  t.like(sampling, { sampling: { frequency: 99 }, enableOnExec: true });
  t.true(sampling!.sampleType.includes('callchain'));
  t.deepEqual(period!.sampling, { period: 1000n });
});

test('a name that stands for a group keeps leaders right, also those that come after it', (t) => {
  const typed = (leader?: number): Json => ({
    source: { kind: 'software', name: 'dummy' },
    ...(leader !== undefined && { leader }),
  });
  const events = eventsFromJson(expandEvents([typed(), { name: '{task-clock,page-faults}:u' }, typed(), typed(2)]));
  t.deepEqual(
    events.map(({ leader }) => leader),
    [undefined, undefined, 1, undefined, 3],
  );
});

test('a field that a name does not allow is refused by its place', (t) => {
  const refused = (event: Json, pattern: RegExp): void =>
    void t.throws(() => expandEvents([event]), { message: pattern });
  refused({ name: 'cpu-clock', exclude: ['kernel'] }, /events\[0\]\.exclude/);
  refused({ name: 7 }, /events\[0\]\.name is not a string/);
  refused({ name: 'cpu-clock', frequency: 1, period: 1 }, /both/);
  refused({ name: 'cpu-clock', frequency: 0 }, /events\[0\]\.frequency/);
  refused({ name: 'cpu-clock', callchain: true }, /requires a frequency/);
  refused({ name: 'cpu-clock', inherit: 1 }, /neither true nor false/);
  refused({ name: 'cpu-clok' }, /cpu-clock/);
  t.throws(() => expandEvents('cpu-clock'), { message: /not a list/ });
});

test('typed events and raw attrs pass as they are', (t) => {
  const events = [{ source: { kind: 'raw', config: '1' } }, { attr: 'AAAA', leader: 0 }, 5, null];
  t.deepEqual(expandEvents(events), events);
});

test('a leader index above the length of the list is refused, even when a name expands to that many events', (t) => {
  const typed = { source: { kind: 'software', name: 'dummy' }, leader: 2 };
  t.throws(() => expandEvents([{ name: 'cpu-clock,task-clock,page-faults' }, typed]), {
    message: /events\[1\]\.leader/,
  });
});

test('names that stand for more events than a request may have are not taken apart to the end', (t) => {
  const group = { name: `{${Array.from({ length: 16 }, () => 'task-clock').join(',')}}` };
  t.is((expandEvents([group]) as Json[]).length, 16);
  const cheap = { name: 'cpu-clok' }; // an error of its own, which is not come to
  t.throws(() => expandEvents([group, group, cheap]), { code: 'too-many-events' });
});
