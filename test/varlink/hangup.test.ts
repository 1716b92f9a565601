/** Detection of a peer that closes a paused connection while a call is under way. */
import test from 'ava';
import { native } from '#dist/native.js';
import { Observed } from './helpers.js';

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A paused connection that watches. */
function watching(): Observed {
  const observed = new Observed();
  observed.connection.pause();
  observed.connection.watchHangup();
  return observed;
}

/** Reason why it ended, within some seconds. */
async function end(observed: Observed): Promise<string | undefined> {
  for (let tries = 0; tries < 1000 && observed.reason === null; tries++) await sleep(5);
  return observed.reason?.kind;
}

test('a paused connection that watches notices that its peer has closed', async (t) => {
  const observed = watching();
  native.close(observed.peer);
  t.is(await end(observed), 'eof');
});

test('a connection that does not watch keeps an answer for a peer that may still be there', async (t) => {
  const observed = new Observed();
  observed.connection.pause();
  native.close(observed.peer);
  await sleep(100);
  t.is(observed.reason, null);
  observed.connection.close();
});

test('a peer that only stopped writing is not gone: it gets its answer', async (t) => {
  const observed = watching();
  native.endWriting(observed.peer);
  await sleep(100);
  t.is(observed.reason, null);
  t.true(observed.connection.send({ parameters: {} }));
  const buffer = new Uint8Array(100);
  t.is(native.receiveMessage(observed.peer, buffer)?.bytes, Buffer.from('{"parameters":{}}\0').length);
  observed.connection.close();
  native.close(observed.peer);
});

test('a peer that stopped writing and closes later is noticed then', async (t) => {
  const observed = watching();
  native.endWriting(observed.peer);
  await sleep(100);
  t.is(observed.reason, null);
  native.close(observed.peer);
  t.is(await end(observed), 'eof');
});

test('a peer that closes with an unread answer is also noticed', async (t) => {
  const observed = watching();
  observed.connection.send({ parameters: {} });
  observed.write('{"method":"a.b.C"}\0');
  native.close(observed.peer);
  t.is(await end(observed), 'eof');
});

test('a message that a peer sends during the pause waits in the socket and wakes no handler', async (t) => {
  const observed = watching();
  observed.write('{"method":"a.b.C"}\0');
  await sleep(50);
  t.deepEqual(observed.messages, []);
  observed.connection.resume();
  while (observed.messages.length === 0) await sleep(5);
  t.is(observed.reason, null);
  observed.connection.close();
  native.close(observed.peer);
});
