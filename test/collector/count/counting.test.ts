import test from 'ava';
import { Counters, difference, scaled } from '#dist/collector/count/counting.js';
import { parseEvents } from '#dist/model/events/syntax/event_syntax.js';
import { withCounting } from '#dist/model/events/event_defaults.js';
import { fakeGrant, fakeOpener } from './fake_counters.js';

const events = withCounting(parseEvents('page-faults,task-clock'), { inherit: false, enableOnExec: false });

test('a count is scaled by the share of time on the counter', (t) => {
  t.is(scaled({ value: 50n, enabled: 100n, running: 25n }), 200);
  t.is(scaled({ value: 50n, enabled: 100n, running: 100n }), 50);
  t.is(scaled({ value: 0n, enabled: 100n, running: 0n }), NaN);
});

test('a count between two readings is their difference, and the first reading counts from zero', (t) => {
  const now = [{ value: 12n, enabled: 30n, running: 20n }];
  t.deepEqual(difference(now, [{ value: 5n, enabled: 10n, running: 10n }]), [
    { value: 7n, enabled: 20n, running: 10n },
  ]);
  t.deepEqual(difference(now, []), now);
});

test('the fds of an event are summed in the order of the request', async (t) => {
  const grant = fakeGrant([
    { event: 1, words: () => [1n, 10n, 10n] },
    { event: 0, words: () => [2n, 20n, 10n] },
    { event: 1, words: () => [4n, 30n, 30n] },
  ]);
  const opener = fakeOpener(grant);
  {
    await using counters = await Counters.open(opener, { targets: [{ system: true }], events, cpus: [0, 1] });
    counters.enable();
    t.deepEqual(counters.read(), [
      { value: 2n, enabled: 20n, running: 10n },
      { value: 5n, enabled: 40n, running: 40n },
    ]);
    counters.disable();
  }
  t.like(opener.requests[0], { cpus: [0, 1], ringSlots: 'none' });
  t.deepEqual(grant.log, ['enable 0', 'enable 1', 'enable 2', 'disable 0', 'disable 1', 'disable 2', 'close']);
});
