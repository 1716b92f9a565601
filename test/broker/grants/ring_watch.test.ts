import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { RingWatch } from '#dist/broker/grants/ring_watch.js';

/** Answers in order; each when the test says so. */
function fixture(): {
  readonly watch: RingWatch;
  readonly asked: string[];
  readonly answer: (mapped: boolean) => void;
  readonly rings: Parameters<RingWatch['addAfter']>[1];
} {
  const asked: string[] = [];
  const waiting: ((mapped: boolean) => void)[] = [];
  const lanes = {
    ringsMapped: (lane: number, fds: readonly number[]): Promise<boolean> => {
      asked.push(`mapped ${fds.join()} in ${lane}`);
      return new Promise((resolve) => waiting.push(resolve));
    },
    close: (lane: number, fds: readonly number[]): Promise<void> => {
      asked.push(`close ${fds.join()} in ${lane}`);
      return Promise.resolve();
    },
  };
  const rings = { lane: 7, fds: [4, 5], release: () => void asked.push('release') };
  return { watch: new RingWatch(lanes, 1), asked, answer: (mapped) => waiting.shift()?.(mapped), rings };
}

test('rings are polled until they are gone, then closed, and then their quota is returned', async (t) => {
  const { watch, asked, answer, rings } = fixture();
  const watched = watch.addAfter(Promise.resolve(), rings);
  t.is(watch.size, 1);
  for (const mapped of [true, true, false]) {
    const before = asked.length;
    while (asked.length === before) await sleep(1);
    answer(mapped);
  }
  await watched;
  const question = 'mapped 4,5 in 7';
  t.deepEqual(asked, [question, question, question, 'close 4,5 in 7', 'release']);
  t.is(watch.size, 0);
});

test('rings are not polled while a poll of the same grant hangs', async (t) => {
  const { watch, asked, answer, rings } = fixture();
  const watched = watch.addAfter(Promise.resolve(), rings);
  await sleep(50);
  t.is(asked.length, 1);
  answer(false);
  await watched;
});

test('rings are not polled before the opener has unmapped its own mappings', async (t) => {
  const { watch, asked, answer, rings } = fixture();
  let released: () => void = () => undefined;
  const watched = watch.addAfter(new Promise((resolve) => (released = resolve)), rings);
  await sleep(20);
  t.deepEqual(asked, []);
  t.is(watch.size, 1);
  released();
  while (asked.length === 0) await sleep(1);
  answer(false);
  await watched;
});
