/** A channel to one worker by itself. helper_client.test.ts has the sessions of several users. */
import { openSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import type { LockScope } from '#dist/broker/ipc/lock_scope.js';
import { HelperSession, type HelperProtocol } from '#dist/broker/ipc/helper_session.js';
import { native, type Fd } from '#dist/native.js';

interface Message {
  readonly serial: number;
  readonly last: boolean;
}

const SCOPE: LockScope = { targets: ['process 7'], owner: 1000 };
/** A message has its serial, the number of its fds, and 1 when it ends the answer. */
const PROTOCOL: HelperProtocol<Message> = {
  messageBytes: 3,
  decode: ([serial = 0, fdCount = 0, last = 0]) => ({ serial, fdCount, last: last === 1 }),
  isLast: ({ last }) => last,
};

interface World {
  readonly session: HelperSession<Message>;
  readonly seen: string[];
  readonly answer: (serial: number, fds?: readonly Fd[], last?: boolean) => void;
  readonly ask: () => Promise<unknown>;
  readonly endWorker: () => void;
}

function open(t: ExecutionContext, deadlineMs = 60_000): World {
  const seen: string[] = [];
  const session = new HelperSession<Message>(PROTOCOL, deadlineMs, {
    onDone: () => seen.push('done'),
    onLate: ({ targets }) => new Error(`late: ${targets.join()}`),
    onIdle: () => seen.push('idle'),
    onEnd: () => new Error('the worker has ended'),
    onBroken: (reason) => seen.push(reason),
    onMessage: ({ kind, outcome }) => seen.push(`${kind} ${outcome}`),
  });
  let ended = false;
  const endWorker = (): void => {
    if (!ended) session.handedOver();
    ended = true;
  };
  t.teardown(() => {
    session.abandon(new Error('the test is over'));
    endWorker();
  });
  return {
    session,
    seen,
    endWorker,
    answer: (serial, fds = [], last = true) => {
      native.sendMessage(session.theirs, Uint8Array.of(serial, fds.length, last ? 1 : 0), fds);
      for (const fd of fds) native.close(fd);
    },
    ask: () => session.request({ kind: 'open', encode: (serial) => Uint8Array.of(serial), scope: SCOPE, fds: [] }),
  };
}

test('an answer of several messages is one reply, with all its fds', async (t) => {
  const { ask, answer, seen } = open(t);
  const asked = ask();
  answer(1, [openSync('/dev/null', 'r')], false);
  answer(1, [openSync('/dev/null', 'r')]);
  const reply = (await asked) as { first: Message; more: readonly Message[]; fds: readonly Fd[] };
  t.like(reply, { first: { serial: 1, last: false }, more: [{ serial: 1, last: true }] });
  t.is(reply.fds.length, 2);
  for (const fd of reply.fds) native.close(fd);
  t.deepEqual(seen, ['open answered']);
});

test('each request has the next serial, and an answer to another one breaks the protocol', async (t) => {
  const { ask, answer, seen, session } = open(t);
  const first = ask();
  answer(1);
  await first;
  const second = t.throwsAsync(ask(), { message: 'broken' });
  answer(1);
  while (seen.length < 2) await new Promise((resolve) => setImmediate(resolve));
  t.regex(seen[1] ?? '', /an answer to request 1, which is not open/);
  session.abandon(new Error('broken'));
  await second;
});

test('a worker that ends fails its request, and every later one', async (t) => {
  const { ask, endWorker, seen } = open(t);
  const asked = ask();
  endWorker();
  await t.throwsAsync(asked, { message: 'the worker has ended' });
  await t.throwsAsync(ask(), { message: 'the worker has ended' });
  t.deepEqual(seen, ['open failed']);
});

test('a late request fails with its scope, and its answer lets the worker end', async (t) => {
  const { ask, answer, seen, session } = open(t, 1);
  await t.throwsAsync(ask(), { message: 'late: process 7' });
  t.false(session.released);
  answer(1);
  while (!session.released) await new Promise((resolve) => setImmediate(resolve));
  t.deepEqual(seen, ['open late', 'open answered late', 'done']);
});

test('a session is done once, and a release without a reset ends the worker', async (t) => {
  const { session, seen, endWorker } = open(t);
  session.done();
  const ended = session.release();
  t.is(native.receiveMessage(session.theirs, new Uint8Array(1))?.bytes, 0, 'no more requests');
  endWorker();
  await ended;
  t.deepEqual(seen, ['done']);
});
