import test, { type ExecutionContext } from 'ava';
import { HelperSocket } from '#dist/broker/ipc/helper_socket.js';
import { native, type Fd } from '#dist/native.js';

interface World {
  readonly socket: HelperSocket;
  /** The end of the helper. */
  readonly helper: Fd;
  readonly broken: string[];
}

function open(t: ExecutionContext): World {
  const [ours, helper] = native.socketPair('seqpacket');
  const broken: string[] = [];
  const protocol = { messageBytes: 1, decode: ([serial = 0]: Uint8Array) => ({ serial }) };
  const socket = new HelperSocket(ours, protocol, (reason) => {
    broken.push(reason);
    socket.close();
  });
  t.teardown(() => {
    if (broken.length === 0) socket.close();
    native.close(helper);
  });
  return { socket, helper, broken };
}

async function until(done: () => boolean): Promise<void> {
  for (let i = 0; i < 2000 && !done(); i++) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** Queues a channel, whose end the helper is to get. @returns the number of handovers */
function queue({ socket }: World, theirs: Fd): { handed: number } {
  const state = { handed: 0 };
  socket.queue({
    theirs,
    handedOver: () => {
      state.handed += 1;
    },
  });
  return state;
}

test('the helper is ready when it reports that it is', async (t) => {
  const world = open(t);
  const ready = world.socket.ready();
  native.sendMessage(world.helper, Uint8Array.of(0), []);
  await t.notThrowsAsync(ready);
  t.deepEqual(world.broken, []);
});

test('a channel is handed over once, with its fd', (t) => {
  const world = open(t);
  const [ours, theirs] = native.workerChannel();
  const state = queue(world, theirs);
  t.is(state.handed, 0, 'not before the flush');
  world.socket.flush();
  world.socket.flush();
  t.is(state.handed, 1);
  const received = native.receiveMessage(world.helper, new Uint8Array(2));
  t.deepEqual([received?.bytes, received?.fds.length], [1, 1]);
  t.is(native.receiveMessage(world.helper, new Uint8Array(2)), null);
  for (const fd of [ours, theirs, ...(received?.fds ?? [])]) native.close(fd);
});

test('channels that a full socket does not take follow when the helper reads', async (t) => {
  const world = open(t);
  const [ours, theirs] = native.workerChannel();
  const states = Array.from({ length: 2000 }, () => queue(world, theirs));
  world.socket.flush();
  const handed = (): number => states.filter((state) => state.handed === 1).length;
  t.true(handed() > 0 && handed() < states.length);
  let received = 0;
  await until(() => {
    for (;;) {
      const message = native.receiveMessage(world.helper, new Uint8Array(2));
      if (message === null) break;
      received += 1;
      for (const fd of message.fds) native.close(fd);
    }
    return received === states.length;
  });
  t.deepEqual([received, handed()], [2000, 2000]);
  native.close(ours);
  native.close(theirs);
});

for (const [what, bytes, reason] of [
  ['a second message that it is ready', [Uint8Array.of(0), Uint8Array.of(0)], /no request asked for/],
  ['a message about a request', [Uint8Array.of(7)], /no request asked for/],
] as const)
  test(`${what} breaks the protocol`, async (t) => {
    const world = open(t);
    void world.socket.ready();
    for (const each of bytes) native.sendMessage(world.helper, each, []);
    await until(() => world.broken.length > 0);
    t.is(world.broken.length, 1);
    t.regex(world.broken[0] ?? '', reason);
  });

test('a helper that closes its socket is gone', async (t) => {
  const world = open(t);
  native.endWriting(world.helper);
  await until(() => world.broken.length > 0);
  t.deepEqual(world.broken, ['it closed its socket']);
});
