import test from 'ava';
import { within } from '#dist/broker/ipc/within.js';

test('a value that comes in time is the result, and an error is passed on', async (t) => {
  t.is(await within(Promise.resolve(7), 60_000), 7);
  await t.throwsAsync(within(Promise.reject(new Error('failed')), 60_000), { message: 'failed' });
});

test('the result is null when no value comes in time', async (t) => {
  t.is(await within(new Promise(() => undefined), 1), null);
});
