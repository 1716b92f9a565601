/** The client of the tracer. helper_client.test.ts has the workers and their limits. */
import test, { type ExecutionContext } from 'ava';
import { NO_LOCK } from '#dist/broker/ipc/lock_scope.js';
import { TracerClient, type DowngradeReply } from '#dist/broker/ipc/tracer.js';
import { TRACER_STATUSES, type TracerRequest } from '#dist/broker/ipc/tracer_protocol.js';
import { TRACER } from '#dist/common/native_messages.js';
import { native, type Fd } from '#dist/native.js';
import { someFd } from '../../varlink/helpers.js';
import { FakeHelper, type FakeWorker } from './fake_helper.js';

const { request: REQUEST, reply: REPLY, thread: THREAD } = TRACER;
const ORDER: TracerRequest = {
  drop: 1n,
  noNewPrivs: false,
  dryRun: false,
  deadline: 100,
  expected: {
    startTime: 1n,
    uids: [1, 1, 1],
    gids: [1, 1, 1],
    permitted: 1n,
    dumpable: true,
  } as unknown as TracerRequest['expected'],
};

interface World {
  readonly helper: FakeHelper;
  readonly late: DowngradeReply[];
  readonly downgrade: () => Promise<DowngradeReply>;
}

function open(t: ExecutionContext): World {
  const helper = new FakeHelper(t);
  const client = new TracerClient(helper.theirs, () => undefined);
  const fd: Fd = someFd();
  t.teardown(() => {
    client.close();
    native.close(fd);
  });
  const late: DowngradeReply[] = [];
  const turn = { user: 1000, scope: NO_LOCK };
  return { helper, late, downgrade: () => client.downgrade(turn, ORDER, fd, fd, (reply) => late.push(reply)) };
}

/** Sends one message of an answer, with these tids. */
function send(worker: FakeWorker, first: number, tids: readonly number[], threadCount: number, detail = 0): void {
  worker.answer(REPLY.size, [
    [REPLY.version, TRACER.version],
    [REPLY.serial, 1],
    [REPLY.status, 0],
    [REPLY.detail, detail],
    [REPLY.thread_count, threadCount],
    [REPLY.first, first],
    [REPLY.count, tids.length],
    ...tids.map((tid, index) => [REPLY.threads + index * THREAD.size + THREAD.tid, tid] as const),
  ]);
}

const turns = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('the messages of an answer are one reply, with all threads and the facts of the first message', async (t) => {
  const { helper, downgrade, late } = open(t);
  const asked = downgrade();
  await turns();
  const worker = helper.worker();
  const request = worker.take(REQUEST.size);
  t.is(request?.fds, 2, 'the client’s socket and the target');
  t.is(request?.view.getUint32(REQUEST.deadline, true), 100);
  send(worker, 0, [11, 12], 3, 9);
  send(worker, 2, [13], 3);
  const reply = await asked;
  t.like(reply, { status: TRACER_STATUSES[0], detail: 9 });
  t.deepEqual(
    reply.threads.map(({ tid }) => tid),
    [11, 12, 13],
  );
  t.deepEqual(late, []);
  t.is(worker.take(REQUEST.size), null, 'its worker gets no other request');
});

test('a tracer that ends in the middle of an answer fails the request', async (t) => {
  const { helper, downgrade } = open(t);
  const refused = t.throwsAsync(downgrade());
  await turns();
  send(helper.worker(), 0, [11], 2);
  helper.end();
  t.like(await refused, { code: 'tracer-gone' });
});
