import test from 'ava';
import { Rates } from '#dist/broker/fairness/rates.js';
import { Turns } from '#dist/broker/fairness/turns.js';
import { Work, type Waiting } from '#dist/broker/fairness/work.js';

const SUBORDINATE = { userOf: ({ uid }: { readonly uid: number }): number => uid };
const LIMITS = { requestsPerSecond: 500, burst: 10 };

/** Sets up work with two clocks that only `spend` advances. */
function setUp(limits = LIMITS): {
  clock: { now: number; cpu: number };
  rates: Rates;
  client: { closed: boolean; watched: number; watchHangup: () => void };
  begin: (turns?: Pick<Turns, 'next'>) => Work;
  spend: (ms: number) => void;
} {
  const clock = { now: 0, cpu: 0 };
  const rates = new Rates(limits, SUBORDINATE, 1, () => clock.now);
  const client = { closed: false, watched: 0, watchHangup: () => void (client.watched += 1) };
  return {
    clock,
    rates,
    client,
    begin: (turns = new Turns()) =>
      new Work({
        client: client satisfies Waiting,
        rates,
        turns,
        clocks: { now: () => clock.now, cpu: () => clock.cpu },
      }),
    spend: (ms) => {
      clock.now += ms;
      clock.cpu += ms;
    },
  };
}

/** Tokens that are left, counted by taking them all. */
function left(rates: Rates, uid: number): number {
  let count = 0;
  while (rates.take(uid)) count += 1;
  return count;
}

test('work that its tokens pay for is not charged again', (t) => {
  const { clock, rates, begin } = setUp();
  t.is(rates.tokenMs, 0.2);
  rates.take(7, 3);
  const work = begin();
  work.payBy(7, 3);
  work.timed(() => (clock.cpu += 0.3));
  work.timed(() => (clock.cpu += 0.3));
  t.is(left(rates, 7), 7);
});

test('work beyond its tokens is charged when it has been done, and the user is refused until it is paid', (t) => {
  const { clock, rates, begin } = setUp();
  const work = begin();
  work.payBy(7, 1);
  // 10 tokens are there; 5 ms are 25, of which one is paid.
  work.timed(() => (clock.cpu += 5));
  t.true(rates.indebted);
  t.false(rates.take(7));
  t.true(rates.take(8), 'others pay nothing for it');
  clock.now = 29;
  t.false(rates.take(7));
  t.false(rates.indebted);
  clock.now = 31;
  t.true(rates.take(7));
});

test('time in which other processes had the cpu is charged to no user', (t) => {
  const { clock, rates, begin } = setUp();
  const work = begin();
  work.payBy(7, 0);
  work.timed(() => (clock.now += 0.1));
  t.is(left(rates, 7), 10);
});

test('nested sections are measured once, and one that throws is measured also', (t) => {
  const { clock, rates, begin } = setUp();
  const work = begin();
  work.payBy(7, 0);
  t.throws(() =>
    work.timed(() => {
      work.timed(() => (clock.cpu += 0.6));
      throw new Error('no');
    }),
  );
  t.is(left(rates, 7), 7);
});

test('work whose user is not known yet is charged when the user is known', (t) => {
  const { clock, rates, begin } = setUp();
  const work = begin();
  work.timed(() => (clock.cpu += 1));
  work.payBy(7, 1);
  work.timed(() => undefined);
  t.is(left(rates, 7), 6);
});

test('a user is locked out for a minute at most', (t) => {
  const { clock, rates, begin } = setUp();
  const work = begin();
  work.payBy(7, 0);
  work.timed(() => (clock.cpu += 3_600_000));
  clock.now = 59_000;
  t.false(rates.take(7));
  clock.now = 60_010;
  t.true(rates.take(7));
});

test('a request yields to the event loop after a millisecond, and others go on before it does', async (t) => {
  const { client, begin, spend } = setUp();
  const work = begin();
  work.payBy(7, 1);
  work.timed(() => spend(0.9));
  t.false(work.turnIsOver);
  work.timed(() => {
    spend(0.1);
    t.true(work.turnIsOver, 'also within a section');
  });
  let others = 0;
  setImmediate(() => (others += 1));
  await work.nextTurn();
  t.is(others, 1);
  t.is(client.watched, 1);
  t.false(work.turnIsOver);
});

test('a request whose client has disconnected ends at its next turn', async (t) => {
  const { client, begin } = setUp();
  const work = begin();
  work.payBy(7, 1);
  const next = work.nextTurn();
  client.closed = true;
  const error = await t.throwsAsync(next);
  t.like(error, { error: 'TargetGone', code: 'client-gone' });
});
