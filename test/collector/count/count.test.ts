import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { count, type CountedInterval } from '#dist/collector/count/count.js';
import { Counters } from '#dist/collector/count/counting.js';
import type { ObservedCommand } from '#dist/collector/observed_command.js';
import { parseEvents } from '#dist/model/events/syntax/event_syntax.js';
import { withCounting } from '#dist/model/events/event_defaults.js';
import { fakeGrant, fakeOpener, type FakeGrant } from './fake_counters.js';

const events = withCounting(parseEvents('page-faults'), { inherit: false, enableOnExec: false });
const system = [{ system: true }] as const;

/** Counters whose one event counts each reading. */
async function counting(leaseSeconds = 0): Promise<{ readonly counters: Counters; readonly grant: FakeGrant }> {
  let value = 0n;
  const grant = fakeGrant([{ event: 0, words: () => [++value, 1n, 1n] }], leaseSeconds);
  return { grant, counters: await Counters.open(fakeOpener(grant), { targets: system, events }) };
}

function command(executed: number): ObservedCommand & { readonly released: () => boolean } {
  let release = (): void => undefined;
  let released = false;
  const exited = new Promise<number>((resolve) => {
    release = () => {
      released = true;
      resolve(0);
    };
  });
  return {
    pid: process.pid,
    exited,
    executed: Promise.resolve(executed),
    release: () => release(),
    released: () => released,
  };
}

test('a count goes from enabling to disabling, and leaves the counters open', async (t) => {
  const { counters, grant } = await counting();
  const interrupt = new AbortController().signal;
  const { end, counts, seconds } = await count(counters, { targets: system, durationMs: 1, interrupt });
  t.is(end, 'duration');
  t.deepEqual(counts, [{ value: 1n, enabled: 1n, running: 1n }]);
  t.true(seconds > 0);
  t.deepEqual(grant.log, ['enable 0', 'disable 0']);
});

test('an observed command enables its events by its exec, and ends the count', async (t) => {
  const { counters, grant } = await counting();
  const workload = command(0);
  const interrupt = new AbortController().signal;
  t.is((await count(counters, { targets: [{ pid: process.pid }], workload, interrupt })).end, 'command');
  t.true(workload.released());
  t.deepEqual(grant.log, ['disable 0']);
});

test('a command that could not be executed has no intervals', async (t) => {
  const { counters } = await counting();
  const intervals = { ms: 60_000, onInterval: () => t.fail('nothing was counted') as unknown as boolean };
  const interrupt = new AbortController().signal;
  const { end } = await count(counters, { targets: system, workload: command(2), interrupt, intervals });
  t.is(end, 'not-executed');
});

test('intervals follow each other without a gap, the last one at the end', async (t) => {
  const { counters } = await counting();
  const interrupt = new AbortController();
  const parts: CountedInterval[] = [];
  const onInterval = (part: CountedInterval): boolean => {
    if (parts.push(part) === 3) interrupt.abort();
    return true;
  };
  const { end } = await count(counters, {
    targets: system,
    interrupt: interrupt.signal,
    intervals: { ms: 1, onInterval },
  });
  t.is(end, 'interrupt');
  t.true(parts.length >= 4);
  t.true(parts.every(({ counts }) => counts[0]?.value === 1n));
  for (const [index, { at, seconds }] of parts.entries())
    t.true(Math.abs((parts[index - 1]?.at ?? 0) + seconds - at) < 1e-9);
});

test('a count without a reader ends, unless a command runs', async (t) => {
  const interrupt = new AbortController();
  const alone = await counting();
  const unread = { ms: 1, onInterval: () => false };
  const { end } = await count(alone.counters, { targets: system, interrupt: interrupt.signal, intervals: unread });
  t.is(end, 'interrupt');
  const { counters } = await counting();
  const second = new EventTarget();
  let calls = 0;
  const onInterval = (): boolean => {
    if (++calls === 3) second.dispatchEvent(new Event('unread'));
    return false;
  };
  const workload = { ...command(0), exited: once(second, 'unread').then(() => 0) };
  const intervals = { ms: 1, onInterval };
  t.is((await count(counters, { targets: system, workload, interrupt: interrupt.signal, intervals })).end, 'command');
});

test('a count whose interval fails ends with its error, and not before its command', async (t) => {
  const interrupt = new AbortController().signal;
  let calls = 0;
  const intervals = {
    ms: 1,
    onInterval: (): boolean => {
      calls++;
      throw new Error('no space');
    },
  };
  const alone = await counting();
  await t.throwsAsync(count(alone.counters, { targets: system, interrupt, intervals }), { message: 'no space' });
  const { counters } = await counting();
  const workload = { ...command(0), exited: delay(50).then(() => 0) };
  await t.throwsAsync(count(counters, { targets: system, workload, interrupt, intervals }), { message: 'no space' });
  t.is(calls, 2, 'no interval follows');
});

test('a count whose lease is over ends with it', async (t) => {
  const { counters } = await counting(0.01);
  const interrupt = new AbortController().signal;
  t.is((await count(counters, { targets: system, interrupt })).end, 'lease');
});
