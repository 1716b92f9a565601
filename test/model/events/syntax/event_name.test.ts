import test from 'ava';
import fc from 'fast-check';
import { HARDWARE_EVENTS, SOFTWARE_EVENTS, type EventSource } from '#dist/model/event.js';
import { bareEvent } from '#dist/model/events/event_defaults.js';
import { eventName, sourceName } from '#dist/model/events/syntax/event_name.js';
import { parseEvents } from '#dist/model/events/syntax/event_syntax.js';

test('names are those of perf', (t) => {
  const names: readonly (readonly [EventSource, string])[] = [
    [{ kind: 'hardware', name: 'cpu-cycles' }, 'cycles'],
    [{ kind: 'software', name: 'page-faults' }, 'page-faults'],
    [{ kind: 'cache', cache: 'LLC', operation: 'prefetch', result: 'access' }, 'LLC-prefetches'],
    [{ kind: 'cache', cache: 'dTLB', operation: 'load', result: 'miss' }, 'dTLB-load-misses'],
    [{ kind: 'raw', config: 0x1c2n }, 'r1c2'],
    [{ kind: 'raw', config: 1n, config1: 2n }, 'cpu/config=0x1,config1=0x2/'],
    [{ kind: 'pmu', pmu: 'msr', config: 1n }, 'msr/config=0x1/'],
    [{ kind: 'tracepoint', name: 'sched:sched_switch' }, 'sched:sched_switch'],
    [{ kind: 'tracepoint', id: 7 }, 'tracepoint/id=7/'],
    [{ kind: 'breakpoint', access: 'rw', address: 0x1000n, length: 4 }, 'mem:0x1000/4:rw'],
  ];
  for (const [source, name] of names) t.is(sourceName(source), name);
});

test('modifiers follow a colon, or the slash of the terms', (t) => {
  const exclude = ['kernel', 'hv'] as const;
  t.is(eventName({ ...bareEvent({ kind: 'software', name: 'cpu-clock' }), exclude }), 'cpu-clock:u');
  t.is(eventName({ ...bareEvent({ kind: 'pmu', pmu: 'cpu', config: 1n }), exclude }), 'cpu/config=0x1/u');
});

test('a name with modifiers is read back as the same event', (t) => {
  const letters = fc.subarray(['u', 'k', 'p', 'I', 'S', 'D', 'e']);
  fc.assert(
    fc.property(fc.constantFrom(...SOFTWARE_EVENTS, ...HARDWARE_EVENTS), letters, (name, modifiers) => {
      const [event] = parseEvents(modifiers.length === 0 ? name : `${name}:${modifiers.join('')}`);
      t.truthy(event);
      if (event !== undefined) t.deepEqual(parseEvents(eventName(event)), [event]);
    }),
  );
});
