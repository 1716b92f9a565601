/** The connection by itself, with a bus that does what the test says. */
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import dbus from 'dbus-next';
import { Transport } from '#dist/bus/transport/transport.js';

const { marshallMessage } = createRequire(import.meta.url)('dbus-next/lib/marshall-compat.js') as {
  readonly marshallMessage: (message: dbus.Message) => [Buffer];
};

const BUS = 'org.freedesktop.DBus';

/** A wire past its handshake, and the bus's end of it. */
async function connected(t: ExecutionContext, stuckMs: number): Promise<{ wire: Transport; bus: Socket }> {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-wire-'));
  const server = createServer();
  t.teardown(() => {
    server.close();
    rmSync(directory, { recursive: true });
  });
  server.listen(join(directory, 'bus'));
  await once(server, 'listening');
  const wire = new Transport(join(directory, 'bus'), stuckMs);
  t.teardown(() => wire.stream.destroy());
  const [bus] = (await once(server, 'connection')) as [Socket];
  t.teardown(() => bus.destroy());
  bus.once('data', () => bus.write('OK 0123456789abcdef0123456789abcdef\r\n'));
  await once(wire, 'connect');
  return { wire, bus };
}

function signal(serial: number, length = 100_000): dbus.Message {
  return Object.assign(dbus.Message.newSignal('/a', 'a.b', 'C', 's', ['x'.repeat(length)]), { serial });
}

/** More than what stops the wire from reading. */
function sendMuch(wire: Transport): void {
  for (let serial = 1; serial <= 30; serial++) wire.message(signal(serial));
}

test('a bus that does not read for too long is given up, because a new connection has nothing charged to it', async (t) => {
  const { wire, bus } = await connected(t, 200);
  bus.pause();
  const closed = once(wire, 'closed');
  sendMuch(wire);
  t.true(wire.stream.isPaused()); // nothing is read that would have to be answered
  t.regex(String((await closed)[0]), /did not read for 0.2 s/);
  t.true(wire.stream.destroyed);
});

test('a bus that does not read a few short messages is also given up', async (t) => {
  const { wire, bus } = await connected(t, 200);
  bus.pause();
  const closed = once(wire, 'closed');
  for (let serial = 1; serial <= 6; serial++) wire.message(signal(serial));
  t.true(wire.stream.writableLength > 0 && wire.stream.writableLength < 1024 * 1024);
  t.regex(String((await closed)[0]), /did not read/);
});

test('a signal is unpacked when the bus sent it, and not when a stranger did', async (t) => {
  const { wire, bus } = await connected(t, 2000);
  const senders: string[] = [];
  wire.on('message', ({ sender }) => senders.push(sender));
  for (const sender of [':1.66', 'org.freedesktop.PolicyKit1', BUS])
    bus.write(marshallMessage(Object.assign(signal(1, 10), { sender }))[0]);
  while (senders.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  t.deepEqual(senders, [BUS]);
});

test('a bus that is slow is waited for', async (t) => {
  const { wire, bus } = await connected(t, 2000);
  bus.pause();
  let closed = false;
  wire.once('closed', () => (closed = true));
  sendMuch(wire);
  await new Promise((resolve) => setTimeout(resolve, 300));
  bus.resume();
  await once(wire.stream, 'drain');
  await new Promise((resolve) => setTimeout(resolve, 2000));
  t.false(closed);
  t.false(wire.stream.isPaused());
});

test('others have their turns while messages come in without end', async (t) => {
  const { wire, bus } = await connected(t, 2000);
  const [bytes] = marshallMessage(
    Object.assign(dbus.Message.newSignal('/a', 'a.b', 'C', 's', ['x'.repeat(900)]), { serial: 1, sender: BUS }),
  );
  let received = 0;
  wire.on('message', () => (received += 1));
  const perTurn: number[] = [];
  bus.write(Buffer.concat(Array<Buffer>(2000).fill(bytes)));
  while (received < 2000) {
    const before = received;
    await new Promise((resolve) => setImmediate(resolve));
    perTurn.push(received - before);
  }
  // Node reads 64 KiB at once, and otherwise many times in a turn.
  t.true(Math.max(...perTurn) <= (64 * 1024) / bytes.length + 1, String(Math.max(...perTurn)));
});
