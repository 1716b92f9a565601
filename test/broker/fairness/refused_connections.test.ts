import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { RefusedConnections } from '#dist/broker/fairness/refused_connections.js';
import { native, type Fd } from '#dist/native.js';
import { settledFds } from '../methods/fakes.js';

const ERROR = { name: 'org.example.Full', parameters: { code: 'connections' } };

/** Text that a client reads, and whether the other end is closed behind it. */
function read(socket: Fd): string {
  const into = new Uint8Array(4096);
  const received = native.receiveMessage(socket, into);
  return received === null ? 'nothing' : Buffer.from(into.subarray(0, received.bytes)).toString();
}

test.serial('a refused connection gets its answer, is kept for a moment, and is closed', async (t) => {
  const before = await settledFds();
  const [client, server] = native.socketPair('stream');
  const refused = new RefusedConnections(50);
  refused.refuse(server, 1000, 1000, ERROR);
  t.is(refused.size, 1);
  t.is(read(client), `${JSON.stringify({ error: ERROR.name, parameters: ERROR.parameters })}\0`);
  while (refused.size > 0) await sleep(5);
  native.close(client);
  t.is(await settledFds(), before);
});

test.serial('one user has 16 of them, all users 64, and the others are closed at once', async (t) => {
  const before = await settledFds();
  const clients: Fd[] = [];
  const refused = new RefusedConnections(50);
  const refuse = (uid: number, count: number): number => {
    for (let index = 0; index < count; index++) {
      const [client, server] = native.socketPair('stream');
      clients.push(client);
      refused.refuse(server, uid, uid, ERROR);
    }
    return refused.size;
  };
  t.is(refuse(1000, 20), 16);
  for (const uid of [1001, 1002, 1003, 1004]) refuse(uid, 16);
  t.is(refused.size, 64);
  while (refused.size > 0) await sleep(5);
  for (const client of clients) native.close(client);
  t.is(await settledFds(), before);
});
