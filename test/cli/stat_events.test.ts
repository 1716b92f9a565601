import test from 'ava';
import { defaultEvents, userModeOf } from '#dist/cli/stat_events.js';
import type { Client } from '#dist/client/index.js';

const clientWith = (...names: readonly string[]): Client =>
  ({ describe: () => Promise.resolve({ pmus: names.map((name) => ({ name, type: 4 })) }) }) as unknown as Client;

test('hardware events are counted where the machine has a cpu PMU', async (t) => {
  const software = await defaultEvents(clientWith('software', 'cpufreq'));
  t.is(software.length, 4);
  t.true(software.every(({ source }) => source.kind === 'software'));
  for (const pmu of ['cpu', 'cpu_core']) {
    const events = await defaultEvents(clientWith('software', pmu));
    t.deepEqual(
      events.map(({ source }) => source.kind),
      [...Array<string>(4).fill('software'), ...Array<string>(4).fill('hardware')],
    );
  }
});

test('the events are counted in user and kernel mode, or the same in user mode alone', async (t) => {
  const events = await defaultEvents(clientWith('cpu'));
  t.true(events.every(({ exclude }) => !exclude.includes('kernel') && !exclude.includes('user')));
  t.deepEqual(
    userModeOf(events),
    events.map((event) => ({ ...event, exclude: ['kernel', 'hv'] })),
  );
});
