import test from 'ava';
import { Rollback } from '../../src/common/rollback.js';

function scope(body: (rollback: Rollback) => void): number {
  let released = 0;
  try {
    using rollback = new Rollback(() => (released += 1));
    body(rollback);
  } catch (error) {
    if ((error as Error).message !== 'failed step') throw error;
  }
  return released;
}

test('a rollback releases its resource once, when a step of the scope fails', (t) => {
  t.is(
    scope(() => {
      throw new Error('failed step');
    }),
    1,
  );
});

test('a rollback releases its resource when the scope returns without keep()', (t) => {
  t.is(
    scope(() => undefined),
    1,
  );
});

test('a rollback leaves a kept resource open, also when a later step fails', (t) => {
  t.is(
    scope((rollback) => {
      rollback.keep();
      throw new Error('failed step');
    }),
    0,
  );
});

test('the error of a failed step passes through a rollback unchanged', (t) => {
  const error = new TypeError('the cause');
  const thrown = t.throws(() => {
    using rollback = new Rollback(() => undefined);
    t.truthy(rollback);
    throw error;
  });
  t.is(thrown, error);
});
