import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { native, type Fd } from '#dist/native.js';
import { Acceptor } from '#dist/varlink/acceptor.js';

test('connections are taken as they come, and those that wait on demand, until it is closed', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-acceptor-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'socket');
  const taken: Fd[] = [];
  const acceptor = new Acceptor({
    listener: native.listenUnix(path, 100),
    onSocket: (socket) => taken.push(socket),
    onError: (error) => t.fail(error.message),
  });
  const clients = Array.from({ length: 70 }, () => native.connectUnix(path));
  acceptor.accept(50);
  t.is(taken.length, 50);
  while (taken.length < 70) await sleep(5);
  acceptor.close();
  acceptor.close();
  t.throws(() => native.connectUnix(path), { message: /ECONNREFUSED/ });
  for (const socket of [...clients, ...taken]) native.close(socket);
});

test('a turn ends by time: between slow connections other work gets the event loop', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-acceptor-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'socket');
  const clock = { now: 0 };
  const takenInPass: number[] = [];
  let taken = 0;
  const sockets: Fd[] = [];
  const acceptor = new Acceptor({
    listener: native.listenUnix(path, 100),
    onSocket: (socket) => {
      sockets.push(socket);
      taken += 1;
      clock.now += 0.75; // three fit a turn
    },
    onError: (error) => t.fail(error.message),
    now: () => clock.now,
  });
  const clients = Array.from({ length: 9 }, () => native.connectUnix(path));
  while (sockets.length < 9) {
    await new Promise((resolve) => setImmediate(resolve));
    if (taken > 0) takenInPass.push(taken);
    taken = 0;
  }
  t.deepEqual(takenInPass, [3, 3, 3]);
  acceptor.close();
  for (const socket of [...clients, ...sockets]) native.close(socket);
});

test('an acceptor whose accept fails tries again a little later, unless it is closed', async (t) => {
  // Accepting from a socket that does not listen fails, and what its peer sends wakes it.
  const failing = (): { readonly acceptor: Acceptor; readonly peer: Fd; readonly errors: string[] } => {
    const [listener, peer] = native.socketPair('stream');
    const errors: string[] = [];
    const onError = (error: Error): unknown => errors.push(error.message);
    const acceptor = new Acceptor({ listener, onSocket: () => t.fail(), onError });
    native.sendMessage(peer, Buffer.of(0), []);
    return { acceptor, peer, errors };
  };
  const [lives, closed] = [failing(), failing()];
  while (lives.errors.length === 0 || closed.errors.length === 0) await sleep(5);
  closed.acceptor.close();
  const before = closed.errors.length;
  while (lives.errors.length < 3) await sleep(5);
  t.is(closed.errors.length, before);
  t.regex(lives.errors[0] ?? '', /EINVAL/);
  lives.acceptor.close();
  for (const { peer } of [lives, closed]) native.close(peer);
});
