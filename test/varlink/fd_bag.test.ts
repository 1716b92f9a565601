import test from 'ava';
import { FdBag } from '#dist/varlink/fd_bag.js';
import { ValidationError } from '#dist/varlink/validate.js';

test('an fd is taken once', (t) => {
  const bag = new FdBag([11, 12]);
  t.is(bag.take(1), 12);
  t.deepEqual([bag.count, bag.remaining], [2, 1]);
  t.throws(() => bag.take(1, 'targets[0].pidfd'), {
    instanceOf: ValidationError,
    message: 'targets[0].pidfd: fd 1 is used twice',
  });
  t.is(bag.take(0), 11);
  t.is(bag.remaining, 0);
});

test('an index that has no fd is an error of its parameter', (t) => {
  for (const index of [1, -1, 0.5, NaN])
    t.throws(() => new FdBag([11]).take(index, 'fd'), {
      instanceOf: ValidationError,
      message: `fd: this message has no fd ${index}: it carries 1`,
    });
});

test('the fds of a message are those that it came with', (t) => {
  const fds = [11];
  const bag = new FdBag(fds);
  fds.push(12);
  t.is(bag.count, 1);
});
