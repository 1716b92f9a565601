/** The client of the opener. helper_client.test.ts has the workers and their limits. */
import test, { type ExecutionContext } from 'ava';
import { NO_LOCK } from '#dist/broker/ipc/lock_scope.js';
import { OpenerClient } from '#dist/broker/ipc/opener.js';
import { NO_LEADER } from '#dist/broker/ipc/opener_protocol.js';
import { OPENER } from '#dist/common/native_messages.js';
import { eventFields } from '#dist/model/events/event_fields.js';
import { parseEvents } from '#dist/model/events/syntax/event_syntax.js';
import { native, type Fd } from '#dist/native.js';
import { someFd } from '../../varlink/helpers.js';
import { FakeHelper, type FakeWorker } from './fake_helper.js';

const { request: REQUEST, reply: REPLY } = OPENER;
const OPEN = {
  target: 'system',
  expected: null,
  events: [eventFields(parseEvents('task-clock:u')[0]!)],
  slots: [{ tid: -1, cpu: 0, event: 0, leader: NO_LEADER, premap: false }],
  ringPages: 0,
} as const;

interface World {
  readonly helper: FakeHelper;
  readonly client: OpenerClient;
  readonly deaths: string[];
  /** The client's socket. */
  readonly connection: Fd;
}

function open(t: ExecutionContext): World {
  const helper = new FakeHelper(t);
  const deaths: string[] = [];
  const client = new OpenerClient(helper.theirs, (reason) => deaths.push(reason));
  const connection = someFd();
  t.teardown(() => {
    client.close();
    native.close(connection);
  });
  return { helper, client, deaths, connection };
}

/** Answers the request that is there. @returns its type, its serial, and the number of its fds */
function answer(worker: FakeWorker, fds: readonly Fd[] = []): readonly number[] {
  const taken = worker.take(REQUEST.size);
  if (taken === null) throw new Error('there is no request');
  const serial = taken.view.getUint32(REQUEST.serial, true);
  worker.answer(
    REPLY.size,
    [
      [REPLY.version, OPENER.version],
      [REPLY.serial, serial],
      [REPLY.fd_count, fds.length],
      [REPLY.slot_count, fds.length],
    ],
    fds,
  );
  return [taken.view.getUint32(REQUEST.type, true), serial, taken.fds];
}

test.serial('a request takes the client’s socket and the target along, and its answer has the fds', async (t) => {
  const { helper, client, connection } = open(t);
  const session = await client.begin(1000, [NO_LOCK]);
  const worker = helper.worker();
  const asked = session.open(OPEN, NO_LOCK, connection, null);
  t.deepEqual(answer(worker, [someFd()]), [OPENER.requestTypes.open, 1, 1]);
  const { fds, serial, reply } = await asked;
  t.deepEqual([fds.length, serial, reply.slotErrnos], [1, 1, [0]]);
  for (const fd of fds) native.close(fd);
  const next = session.open(OPEN, NO_LOCK, connection, connection);
  t.deepEqual(answer(worker), [OPENER.requestTypes.open, 2, 2]);
  await next;
});

test.serial('rings are released by the serial of their request', async (t) => {
  const { helper, client } = open(t);
  const session = await client.begin(1000, []);
  const worker = helper.worker();
  const released = session.releaseRings(7, NO_LOCK);
  t.deepEqual(answer(worker), [OPENER.requestTypes.release, 7, 0]);
  await t.notThrowsAsync(released);
});

test.serial('a worker that may have mapped rings ends with its session, any other one serves the next', async (t) => {
  for (const [ringPages, ends] of [
    [0, false],
    [4, true],
  ] as const) {
    const { helper, client, connection } = open(t);
    const session = await client.begin(1000, []);
    const worker = helper.worker();
    const asked = session.open({ ...OPEN, ringPages }, NO_LOCK, connection, null);
    answer(worker);
    await asked;
    const released = session.release();
    t.is(session.release(), released);
    t.is(worker.take(REQUEST.size) === null, ends, 'a worker that is kept is asked to close its fds');
  }
});

test.serial('a ping is answered by a worker', async (t) => {
  const { helper, client } = open(t);
  const ping = client.ping();
  await new Promise((resolve) => setImmediate(resolve));
  t.is(answer(helper.worker())[0], OPENER.requestTypes.release);
  await t.notThrowsAsync(ping);
});

test.serial('an opener that ends is reported once, and refuses every request', async (t) => {
  const { helper, client, deaths } = open(t);
  const session = await client.begin(1000, []);
  const asked = t.throwsAsync(session.releaseRings(1, NO_LOCK));
  helper.end();
  t.like(await asked, { code: 'opener-gone' });
  t.like(await t.throwsAsync(client.begin(1000, [])), { code: 'opener-gone' });
  while (deaths.length === 0) await new Promise((resolve) => setImmediate(resolve));
  t.is(deaths.length, 1);
});
