import test from 'ava';
import fc from 'fast-check';
import { TokenBucket } from '#dist/common/token_bucket.js';

function at(options: { ratePerSecond: number; burst: number; maximumKeys?: number }): {
  bucket: TokenBucket;
  clock: { now: number };
} {
  const clock = { now: 0 };
  return { bucket: new TokenBucket({ ...options, now: () => clock.now }), clock };
}

function takes(bucket: TokenBucket, key: number, count: number): number {
  return Array.from({ length: count }, () => bucket.take(key)).filter(Boolean).length;
}

test('a burst passes, then calls at the rate', (t) => {
  const { bucket, clock } = at({ ratePerSecond: 10, burst: 5 });
  t.is(takes(bucket, 1, 20), 5);
  clock.now = 100;
  t.is(takes(bucket, 1, 20), 1);
  clock.now = 10_000;
  t.is(takes(bucket, 1, 20), 5);
});

test('one key does not use up the tokens of another', (t) => {
  const { bucket } = at({ ratePerSecond: 10, burst: 5 });
  takes(bucket, 1, 20);
  t.is(takes(bucket, 2, 20), 5);
});

test('refused calls cost nothing: a caller that repeats its calls still gets the rate', (t) => {
  const { bucket, clock } = at({ ratePerSecond: 10, burst: 1 });
  let passed = 0;
  for (clock.now = 0; clock.now < 10_000; clock.now += 10) if (bucket.take(1)) passed++;
  t.true(passed >= 99 && passed <= 101, String(passed));
});

test('an expensive call takes more tokens, and none when there are too few', (t) => {
  const { bucket, clock } = at({ ratePerSecond: 10, burst: 5 });
  t.true(bucket.take(1, 3));
  t.false(bucket.take(1, 3));
  t.is(takes(bucket, 1, 20), 2);
  clock.now = 300;
  t.true(bucket.take(1, 3));
  t.false(bucket.take(1));
});

test('a call that costs more than a full bucket needs a full one, and empties it', (t) => {
  const { bucket, clock } = at({ ratePerSecond: 10, burst: 5 });
  t.true(bucket.take(1, 1000));
  clock.now = 400;
  t.false(bucket.take(1, 1000));
  clock.now = 500;
  t.true(bucket.take(1, 1000));
});

test('a charge may overdraw a bucket, by the tokens of a minute at most', (t) => {
  const { bucket, clock } = at({ ratePerSecond: 10, burst: 5 });
  bucket.charge(1, 2);
  t.is(takes(bucket, 1, 20), 3);
  t.false(bucket.indebted);
  bucket.charge(1, 10);
  t.true(bucket.indebted);
  clock.now = 1000;
  t.false(bucket.indebted);
  t.false(bucket.take(1));
  clock.now = 1100;
  t.true(bucket.take(1));
  bucket.charge(1, 1_000_000);
  clock.now += 60_000;
  t.false(bucket.take(1));
  clock.now += 100;
  t.true(bucket.take(1));
  t.is(takes(bucket, 2, 20), 5, 'another key owes nothing');
});

test('a key with one token may owe the others that it takes, and a key without a token takes none', (t) => {
  const { bucket, clock } = at({ ratePerSecond: 10, burst: 5 });
  t.true(bucket.take(1, 4));
  t.true(bucket.takeOrOwe(1, 21));
  t.is(bucket.balance(1), -20);
  t.false(bucket.takeOrOwe(1, 1));
  clock.now = 2050;
  t.false(bucket.takeOrOwe(1, 2), 'half a token');
  t.true(bucket.takeOrOwe(1, 0), 'nothing');
  clock.now = 2100;
  t.true(bucket.takeOrOwe(1, 2));
});

test('a key that owes is remembered until it is full again', (t) => {
  const { bucket, clock } = at({ ratePerSecond: 10, burst: 5 });
  bucket.charge(1, 15);
  clock.now = 1400;
  bucket.take(2);
  t.is(bucket.size, 2);
  clock.now = 1500;
  bucket.take(2);
  t.is(bucket.size, 1);
});

test('a clock that goes back gives no tokens', (t) => {
  const { bucket, clock } = at({ ratePerSecond: 10, burst: 2 });
  clock.now = 5000;
  takes(bucket, 1, 2);
  clock.now = 0;
  t.false(bucket.take(1));
});

test('keys that are full again are forgotten as others call', (t) => {
  const { bucket, clock } = at({ ratePerSecond: 10, burst: 5 });
  for (let key = 0; key < 100; key++) bucket.take(key);
  t.is(bucket.size, 100);
  clock.now = 1000;
  for (let call = 0; call < 100; call++) bucket.take(7);
  t.is(bucket.size, 1);
});

test('no more keys are remembered than the maximum', (t) => {
  const { bucket } = at({ ratePerSecond: 1, burst: 5, maximumKeys: 50 });
  for (let key = 0; key < 1000; key++) bucket.take(key);
  t.is(bucket.size, 50);
});

test('forgetting an idle key gives it nothing: no schedule passes more than burst and rate allow', (t) => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(3), fc.nat(400)), { maxLength: 200 }), (calls) => {
      const { bucket, clock } = at({ ratePerSecond: 10, burst: 3 });
      const passed = new Map<number, number[]>();
      for (const [key, wait] of calls) {
        clock.now += wait;
        if (bucket.take(key)) passed.set(key, [...(passed.get(key) ?? []), clock.now]);
      }
      for (const times of passed.values()) {
        for (const [first, start] of times.entries()) {
          for (const [last, end] of times.entries()) {
            if (last >= first) t.true(last - first + 1 <= 3 + ((end - start) * 10) / 1000 + 1e-9);
          }
        }
      }
    }),
  );
});

for (const options of [
  { ratePerSecond: 0, burst: 1 },
  { ratePerSecond: 1, burst: 0 },
  { ratePerSecond: NaN, burst: 1 },
]) {
  test(`a rate of ${options.ratePerSecond} with a burst of ${options.burst} is a bug and thrown as one`, (t) => {
    t.throws(() => new TokenBucket(options), { instanceOf: RangeError });
  });
}
