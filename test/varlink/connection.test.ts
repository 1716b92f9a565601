import { spawn, spawnSync } from 'node:child_process';
import { fstatSync } from 'node:fs';
import test from 'ava';
import { native } from '#dist/native.js';
import { Connection } from '#dist/varlink/connection.js';
import { LIMITS, Observed, fdsBackTo, openFds, someFd, turns } from './helpers.js';

// The fds of this process are counted: one test at a time.

test.serial('a message and its fds arrive together', async (t) => {
  const before = openFds();
  const observed = new Observed();
  observed.write('{"a":1}\0', [someFd(), someFd()]);
  const [message] = await observed.received(1);
  t.deepEqual(message?.value, { a: 1 });
  t.is(message?.fds.length, 2);
  observed.end();
  t.deepEqual(observed.reason, { kind: 'closed', detail: 'closed by this side' });
  t.deepEqual(await fdsBackTo(before), before);
});

test.serial('pipelined messages keep their order and their fds', async (t) => {
  const before = openFds();
  const observed = new Observed();
  for (let index = 0; index < 100; index++) {
    observed.write(`{"index":${index}}\0`, index % 3 === 0 ? [someFd()] : []);
  }
  const messages = await observed.received(100);
  t.deepEqual(
    messages.map(({ value, fds }) => [value['index'], fds.length]),
    Array.from({ length: 100 }, (_, index) => [index, index % 3 === 0 ? 1 : 0]),
  );
  observed.end();
  t.deepEqual(await fdsBackTo(before), before);
});

test.serial('a message that comes in pieces is put together, with the fds of a piece', async (t) => {
  const before = openFds();
  const observed = new Observed();
  for (const piece of ['{"te', 'xt":"', 'ä'.repeat(20_000), '"}']) {
    observed.write(piece, piece === 'xt":"' ? [someFd()] : []);
    await turns();
  }
  t.is(observed.messages.length, 0);
  observed.write('\0');
  const [message] = await observed.received(1);
  t.is((message?.value['text'] as string).length, 20_000);
  t.is(message?.fds.length, 1);
  observed.end();
  t.deepEqual(await fdsBackTo(before), before);
});

const refused = test.macro({
  exec: async (t, detail: RegExp, write: (observed: Observed) => void) => {
    const before = openFds();
    const observed = new Observed({ messageMs: 50 });
    write(observed);
    const reason = await observed.closed();
    t.is(reason.kind, 'protocol');
    t.regex(reason.detail, detail);
    t.is(observed.messages.length, 0);
    observed.end();
    t.deepEqual(await fdsBackTo(before), before, 'a socket or an fd is left');
  },
  title: (name) => `${name} closes the connection and every fd`,
});

test.serial('garbage', refused, /not JSON/, (peer) => peer.write('\x16\x03\x01\x02\0', [someFd()]));
test.serial('an empty message', refused, /empty/, (peer) => peer.write('\0', [someFd()]));
test.serial('a message that is not an object', refused, /not a JSON object/, (peer) => peer.write('[]\0', [someFd()]));
test.serial('invalid UTF-8', refused, /UTF-8/, (peer) => peer.write(Uint8Array.of(0x22, 0xff, 0x22, 0), [someFd()]));
test.serial('a deeply nested message', refused, /nested deeper/, (peer) => {
  peer.write(`${'['.repeat(60_000)}\0`, [someFd()]);
});
test.serial('a message that is too long', refused, /more than 65536 bytes/, (peer) => {
  peer.write(`"${'x'.repeat(LIMITS.messageBytes)}`, [someFd()]);
});
test.serial('a message with too many fds', refused, /more than 4 fds/, (peer) => {
  peer.write('{}\0', Array.from({ length: 5 }, someFd));
});
test.serial('a message with 253 fds', refused, /more than 4 fds/, (peer) => {
  peer.write('{}\0', Array.from({ length: 253 }, someFd));
});
test.serial('a partial message whose pieces carry too many fds', refused, /more than 4 fds/, (peer) => {
  for (let piece = 0; piece < 5; piece++) peer.write('{', [someFd()]);
});
test.serial('a message that is started and not finished in time', refused, /not complete in time/, (peer) => {
  peer.write('{"slow":', [someFd()]);
});

test.serial('a slow sender cannot gain time by sending a byte now and then', async (t) => {
  const observed = new Observed({ messageMs: 100 });
  // It ends when the connection closes: a deadline that each byte moves would never come.
  const drip = setInterval(() => observed.reason ?? observed.write(' '), 10);
  t.is((await observed.closed()).kind, 'protocol');
  clearInterval(drip);
  observed.end();
});

test.serial('the time for a message restarts with each message, even if the next one has already begun', async (t) => {
  const observed = new Observed({ messageMs: 300 });
  observed.write('{');
  for (const end = Date.now() + 700; Date.now() < end;) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    if (observed.reason === null) observed.write('}\0{');
  }
  t.is(observed.reason, null);
  observed.end();
});

test.serial('a peer that leaves in the middle of a message ends the connection, its fds are closed', async (t) => {
  const before = openFds();
  const observed = new Observed();
  observed.write('{"half":', [someFd()]);
  native.shutdown(observed.peer);
  t.deepEqual(await observed.closed(), { kind: 'eof', detail: 'the peer closed in the middle of a message' });
  observed.end();
  t.deepEqual(await fdsBackTo(before), before);
});

test.serial('while paused nothing is read, and the peer is held back by the kernel', async (t) => {
  const before = openFds();
  const observed = new Observed();
  observed.connection.pause();
  const message = `{"pad":"${'x'.repeat(1000)}"}\0`;
  let written = 0;
  while (observed.write(message) !== null) written++;
  await turns(20);
  t.is(observed.messages.length, 0);
  t.true(written > 10 && written * message.length < 1 << 20);
  observed.connection.resume();
  await observed.received(written);
  t.is(observed.messages.length, written);
  observed.end();
  t.deepEqual(await fdsBackTo(before), before);
});

test.serial('a pause from within onMessage stops the very next message', async (t) => {
  const [socket, peer] = native.socketPair('stream');
  const seen: unknown[] = [];
  const connection = new Connection({
    socket,
    limits: LIMITS,
    onMessage: ({ value }) => {
      seen.push(value['n']);
      connection.pause();
    },
    onClose: () => undefined,
  });
  native.sendMessage(peer, Buffer.from('{"n":1}\0{"n":2}\0{"n":3}\0'), []);
  await turns();
  t.deepEqual(seen, [1]);
  connection.resume();
  await turns();
  t.deepEqual(seen, [1, 2]);
  connection.resume();
  await turns();
  t.deepEqual(seen, [1, 2, 3]);
  connection.close();
  native.close(peer);
});

test.serial('one peer with many messages does not block the event loop for others', async (t) => {
  const observed = new Observed();
  observed.write('{}\0'.repeat(10_000));
  await observed.received(1);
  await turns(2);
  t.true(observed.messages.length < 200, `${observed.messages.length} messages in about two turns`);
  await observed.received(10_000);
  t.is(observed.messages.length, 10_000);
  observed.end();
});

/** Reads frames and fds from the bare end until `count` frames came. */
async function readFrames(peer: number, count: number): Promise<{ bytes: number; fds: number }[]> {
  const into = new Uint8Array(1 << 16);
  const frames = [{ bytes: 0, fds: 0 }];
  while (frames.length <= count) {
    const received = native.receiveMessage(peer, into);
    if (received === null) {
      await turns(1);
      continue;
    }
    if (received.bytes === 0) break;
    for (const byte of into.subarray(0, received.bytes)) {
      const last = frames.at(-1);
      if (byte === 0) frames.push({ bytes: 0, fds: 0 });
      else if (last !== undefined) last.bytes++;
    }
    // Each of our messages is one send: a read with fds ends within or at the end of theirs.
    const owner = into[received.bytes - 1] === 0 ? frames.at(-2) : frames.at(-1);
    if (owner !== undefined) owner.fds += received.fds.length;
    for (const fd of received.fds) native.close(fd);
  }
  return frames.slice(0, count);
}

test.serial('replies larger than the socket buffer arrive whole, each with its own fds', async (t) => {
  const before = openFds();
  const observed = new Observed({ queuedBytes: 8 << 20 });
  const pad = 'x'.repeat(500_000);
  for (let index = 1; index <= 5; index++) {
    t.true(observed.connection.send({ pad }, Array.from({ length: index }, someFd)));
    t.true(observed.connection.send({ small: index }, [someFd()]));
  }
  const frames = await readFrames(observed.peer, 10);
  t.deepEqual(
    frames.map(({ fds }) => fds),
    [1, 1, 2, 1, 3, 1, 4, 1, 5, 1],
  );
  t.deepEqual(
    frames.filter((_, index) => index % 2 === 0).map(({ bytes }) => bytes),
    Array.from({ length: 5 }, () => pad.length + 10),
  );
  observed.end();
  t.deepEqual(await fdsBackTo(before), before);
});

test.serial('a peer that never reads is dropped when too many bytes wait, with every fd', async (t) => {
  const before = openFds();
  const observed = new Observed({ queuedBytes: 300_000 });
  let sent = 0;
  while (observed.connection.send({ pad: 'x'.repeat(10_000) }, [someFd()])) sent++;
  t.is(observed.reason?.kind, 'backpressure');
  t.true(sent > 30 && sent < 100);
  t.false(observed.connection.send({}, [someFd()]), 'a closed connection consumes fds, too');
  observed.end();
  t.deepEqual(await fdsBackTo(before), before);
});

test.serial('a peer that never reads is dropped when too many fds wait', async (t) => {
  const before = openFds();
  const observed = new Observed({ queuedFds: 10 });
  let sent = 0;
  while (observed.connection.send({}, [someFd()])) sent++;
  t.is(observed.reason?.kind, 'backpressure');
  t.true(sent > 10);
  observed.end();
  t.deepEqual(await fdsBackTo(before), before);
});

test.serial('lent fds stay open, and are sent even if their owner has closed them', async (t) => {
  const before = openFds();
  const observed = new Observed({ unreadFds: 1 });
  const lent = [someFd(), someFd()];
  const inodes = lent.map((fd) => fstatSync(fd).ino);
  for (const fd of lent) t.true(observed.connection.send({ fd }, [fd], true));
  for (const fd of lent) native.close(fd);
  const other = someFd(); // may have the number of one of them
  const received: number[] = [];
  const into = new Uint8Array(1 << 16);
  while (received.length < 2) {
    const got = native.receiveMessage(observed.peer, into);
    for (const fd of got?.fds ?? []) {
      received.push(fstatSync(fd).ino);
      native.close(fd);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  t.deepEqual(received, inodes);
  native.close(other);
  observed.end();
  t.deepEqual(await fdsBackTo(before), before);
});

test.serial('lent fds are left alone by a connection that is closed, or closes before they are sent', async (t) => {
  const before = openFds();
  const observed = new Observed({ unreadFds: 1 });
  const lent = [someFd(), someFd()];
  t.true(observed.connection.send({}, lent.slice(0, 1), true));
  t.true(observed.connection.send({}, lent, true));
  observed.connection.close();
  t.false(observed.connection.send({}, lent, true));
  for (const fd of lent) native.close(fd);
  observed.end();
  t.deepEqual(await fdsBackTo(before), before);
});

test.serial('a peer has no more unread fds in its socket than the limit, the rest follows as it reads', async (t) => {
  const before = openFds();
  const observed = new Observed({ unreadFds: 10 });
  for (let index = 0; index < 12; index++) observed.connection.send({ index }, [someFd(), someFd(), someFd()]);
  const into = new Uint8Array(1 << 16);
  const readAll = (): number => {
    let fds = 0;
    for (
      let got = native.receiveMessage(observed.peer, into);
      got !== null;
      got = native.receiveMessage(observed.peer, into)
    ) {
      fds += got.fds.length;
      for (const fd of got.fds) native.close(fd);
    }
    return fds;
  };
  await new Promise((resolve) => setTimeout(resolve, 50));
  const passes = [];
  for (let pass = 0; pass < 4; pass++) {
    passes.push(readAll());
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  t.deepEqual(passes, [9, 9, 9, 9]);
  observed.end();
  t.deepEqual(await fdsBackTo(before), before);
});

test.serial(
  'a message with more fds than may lie unread is still sent to a peer that has read everything',
  async (t) => {
    const before = openFds();
    const observed = new Observed({ unreadFds: 1 });
    observed.connection.send({}, [someFd(), someFd()]);
    const received = native.receiveMessage(observed.peer, new Uint8Array(10));
    t.is(received?.fds.length, 2);
    for (const fd of received?.fds ?? []) native.close(fd);
    observed.end();
    t.deepEqual(await fdsBackTo(before), before);
  },
);

test.serial('a peer that never reads is dropped after a time', async (t) => {
  const observed = new Observed({ stallMs: 50 });
  for (let count = 0; count < 50; count++) observed.connection.send({ pad: 'x'.repeat(10_000) });
  t.deepEqual(await observed.closed(), { kind: 'backpressure', detail: 'the peer does not read' });
  observed.end();
});

test.serial('waiting replies still reach a peer that has only stopped sending', async (t) => {
  const python = spawnSync('python3', ['--version']);
  if (python.error !== undefined) {
    t.log('skipped: no python3');
    t.pass();
    return;
  }
  const before = openFds();
  const [socket, peer] = native.socketPair('stream');
  const ended = new Promise<string>((resolve) => {
    const connection = new Connection({
      socket,
      limits: { ...LIMITS, queuedBytes: 8 << 20 },
      onMessage: () => connection.send({ pad: 'x'.repeat(2_000_000) }),
      onClose: ({ kind }) => resolve(kind),
    });
  });
  const script = `
import socket
peer = socket.socket(fileno=3)
peer.setblocking(True)
peer.sendall(b'{}\\0')
peer.shutdown(socket.SHUT_WR)
total = 0
while True:
    data = peer.recv(65536)
    if not data: break
    total += len(data)
print(total)`;
  const child = spawn('python3', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit', peer] });
  let output = '';
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const exited = new Promise((resolve) => child.on('close', resolve));
  native.close(peer);
  t.is(await ended, 'eof');
  await exited;
  t.is(output.trim(), String(2_000_000 + '{"pad":""}'.length + 1));
  t.deepEqual(await fdsBackTo(before), before);
});

test.serial('messages that a peer sent before it vanished without reading are still delivered', async (t) => {
  const observed = new Observed();
  observed.connection.pause();
  observed.connection.send({ unread: true });
  observed.write('{"last":"word"}\0');
  const { peer } = observed;
  native.close(peer);
  observed.connection.resume();
  t.is((await observed.closed()).kind, 'eof');
  t.deepEqual(
    observed.messages.map(({ value }) => value),
    [{ last: 'word' }],
  );
});

test.serial('sending to a peer that has gone ends the connection and closes the fds', async (t) => {
  const before = openFds();
  const observed = new Observed();
  native.shutdown(observed.peer);
  t.false(observed.connection.send({}, [someFd()]));
  t.is(observed.reason?.kind, 'eof');
  observed.end();
  t.deepEqual(await fdsBackTo(before), before);
});

test.serial('a value that is not JSON, or too many fds, throw and close the fds', async (t) => {
  const before = openFds();
  const observed = new Observed();
  t.throws(() => observed.connection.send({ big: 1n }, [someFd()]), { instanceOf: TypeError });
  t.throws(() => observed.connection.send({}, Array.from({ length: 254 }, someFd)), { instanceOf: RangeError });
  t.is(observed.reason, null);
  observed.end();
  t.deepEqual(await fdsBackTo(before), before);
});

test.serial('closing twice closes once, together with the undelivered fds', async (t) => {
  const before = openFds();
  const [socket, peer] = native.socketPair('stream');
  const reasons: string[] = [];
  let delivered = 0;
  const connection = new Connection({
    socket,
    limits: LIMITS,
    onMessage: () => {
      delivered++;
      connection.pause();
    },
    onClose: ({ kind }) => reasons.push(kind),
  });
  const fd = someFd();
  native.sendMessage(peer, Buffer.from('{}\0'), []);
  native.sendMessage(peer, Buffer.from('{}\0'), [fd]);
  native.close(fd);
  await turns();
  t.is(delivered, 1);
  t.is(openFds().length, before.length + 3, 'both sockets, and the fd of the message that was read but not delivered');
  connection.close();
  connection.close();
  native.close(peer);
  t.deepEqual(reasons, ['closed']);
  t.deepEqual(await fdsBackTo(before), before);
});

test.serial('no timer runs unless a message is half received or waits to be sent', async (t) => {
  const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  const before = timers();
  const observed = new Observed({ messageMs: 60_000, stallMs: 60_000, queuedBytes: 4 << 20 });
  observed.write('{"whole":true}\0{"ha');
  await observed.received(1);
  await turns();
  t.is(timers(), before + 1);
  observed.write('lf":true}\0');
  await observed.received(2);
  await turns();
  t.is(timers(), before);
  observed.connection.send({ pad: 'x'.repeat(1_000_000) });
  t.is(timers(), before + 1);
  await readFrames(observed.peer, 1);
  await turns();
  t.is(timers(), before);
  observed.end();
});

test.serial('1,000 connections that come, send half a message with an fd, and go leave nothing behind', async (t) => {
  const before = openFds();
  for (let round = 0; round < 100; round++) {
    const ten = Array.from({ length: 10 }, () => new Observed());
    for (const observed of ten) {
      observed.write('{"half', [someFd()]);
      native.close(observed.peer);
    }
    for (const observed of ten) t.is((await observed.closed()).kind, 'eof');
  }
  t.deepEqual(await fdsBackTo(before), before);
});

test.serial(
  'a peer that keeps sending requests and never reads has a few answers waiting, and gets the rest once it reads',
  async (t) => {
    const before = openFds();
    const [socket, peer] = native.socketPair('stream');
    let answered = 0;
    const connection = new Connection({
      socket,
      limits: { ...LIMITS, deliverBelowBytes: 10_000 },
      onMessage: () => {
        answered++;
        connection.send({ pad: 'x'.repeat(5000) });
      },
      onClose: () => undefined,
    });
    const asked = 1000;
    t.is(native.sendMessage(peer, Buffer.from('{}\0'.repeat(asked)), []), 3 * asked);
    await turns(100);
    const waiting = answered;
    t.true(waiting > 3 && waiting < 500, `${waiting} were answered`);
    const buffer = new Uint8Array(65_536);
    let read = 0;
    while (read < asked * 5011) {
      const received = native.receiveMessage(peer, buffer);
      if (received === null) await turns(1);
      else if (received.bytes === 0) break;
      else read += received.bytes;
    }
    t.is(answered, asked);
    t.false(connection.closed);
    connection.close();
    native.close(peer);
    t.deepEqual(await fdsBackTo(before), before);
  },
);
