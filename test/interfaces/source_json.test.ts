import test from 'ava';
import fc from 'fast-check';
import { sourceFromJson, sourceToJson } from '#dist/interfaces/source_json.js';
import { namedSource, resolvedSource } from '../model/event_arbitrary.js';

test('a source survives its JSON', (t) => {
  fc.assert(
    fc.property(fc.oneof(resolvedSource, namedSource), (source) => {
      t.deepEqual(sourceFromJson(JSON.parse(JSON.stringify(sourceToJson(source))), 'source'), source);
    }),
  );
});

test('a field of another kind is refused', (t) => {
  t.throws(() => sourceFromJson({ kind: 'software', name: 'cpu-clock', config: '1' }, 'source'), {
    message: 'source has no field "config" (in this form)',
  });
});

test('a tracepoint has a name or an id, and a PMU a name or a number', (t) => {
  t.throws(() => sourceFromJson({ kind: 'tracepoint', name: 'a:b', id: 1 }, 's'), {
    message: 's has both name and id',
  });
  t.throws(() => sourceFromJson({ kind: 'pmu', pmu: 'cpu', pmuType: 8, config: '0' }, 's'), {
    message: 's has both pmu and pmuType',
  });
});
