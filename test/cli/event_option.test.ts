import test from 'ava';
import { collectEvents, eventsFrom, samplingFrom } from '#dist/cli/event_option.js';
import { UsageError } from '#dist/cli/failure.js';

test('several -e are one list', (t) => {
  t.is(collectEvents('b', collectEvents('a', undefined)), 'a,b');
  t.is(eventsFrom('cpu-clock:u,page-faults').length, 2);
});

test('an event that is misspelled is a usage error with its position', (t) => {
  t.throws(() => eventsFrom('cpu-clock,page-fualts'), { instanceOf: UsageError, message: /^--event: .*position 11/ });
});

test('sampling is by frequency, by period, or the default', (t) => {
  t.is(samplingFrom({}), undefined);
  t.deepEqual(samplingFrom({ freq: '99' }), { frequency: 99 });
  t.deepEqual(samplingFrom({ count: '1000000000000' }), { period: 1_000_000_000_000n });
  for (const options of [{ freq: '1', count: '1' }, { freq: '0' }, { count: '-1' }, { freq: '1000001' }])
    t.throws(() => samplingFrom(options), { instanceOf: UsageError });
});
