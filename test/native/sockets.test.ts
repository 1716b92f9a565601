import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, fstatSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { native, type Fd } from '#dist/native.js';
import { closeLater, isCloseOnExec, openFds, runModule, temporaryDirectory } from './support.js';

const root = process.getuid?.() === 0 ? test.serial : test.skip;
if (process.getuid?.() !== 0) console.log('skipped: tests with children under other uids need root');

async function acceptFrom(listener: Fd, child: ChildProcess): Promise<Fd> {
  while (child.exitCode === null) {
    const server = native.accept(listener);
    if (server !== null) return server;
    await sleep(5);
  }
  throw new Error('the child did not connect');
}

test.serial('200 of 200 fds arrive in order with messages of 64 KiB under back-pressure', (t) => {
  const MESSAGES = 200;
  const SIZE = 64 * 1024;
  const before = openFds();
  const [sender, receiver] = native.socketPair('stream');
  const inodes: number[] = [];
  const received: number[] = [];
  let refused = 0;
  let sentBytes = 0;
  let receivedBytes = 0;
  const into = new Uint8Array(40_000);
  const receive = (): boolean => {
    const message = native.receiveMessage(receiver, into);
    if (message === null) return false;
    for (let i = 0; i < message.bytes; i++) {
      if (into[i] !== Math.floor((receivedBytes + i) / SIZE) % 251) t.fail(`byte ${receivedBytes + i} is wrong`);
    }
    receivedBytes += message.bytes;
    for (const fd of message.fds) {
      received.push(fstatSync(fd).ino);
      native.close(fd);
    }
    return true;
  };
  for (let i = 0; i < MESSAGES; i++) {
    const [one, other] = native.socketPair('stream');
    inodes.push(fstatSync(one).ino);
    let rest = new Uint8Array(SIZE).fill(i % 251);
    let fds: Fd[] = [one];
    while (rest.length > 0) {
      const sent = native.sendMessage(sender, rest, fds);
      if (sent === null) {
        refused++;
        receive();
        continue;
      }
      sentBytes += sent;
      rest = rest.subarray(sent);
      fds = [];
    }
    native.close(one);
    native.close(other);
  }
  while (receive());
  native.close(sender);
  native.close(receiver);
  t.true(refused > 0, 'there was back-pressure');
  t.is(receivedBytes, sentBytes);
  t.deepEqual(received, inodes);
  t.deepEqual(openFds(), before);
});

test.serial('a message carries 253 fds and not one more', (t) => {
  const [sender, receiver] = native.socketPair('stream');
  closeLater(t, sender, receiver);
  const byte = new Uint8Array(1);
  t.throws(() => native.sendMessage(sender, byte, new Array<Fd>(254).fill(sender)), { instanceOf: TypeError });
  t.is(native.sendMessage(sender, byte, new Array<Fd>(253).fill(sender)), 1);
  const message = native.receiveMessage(receiver, byte);
  t.is(message?.fds.length, 253);
  closeLater(t, ...(message?.fds ?? []));
});

test.serial('received fds are closed on exec', (t) => {
  const [sender, receiver] = native.socketPair('seqpacket');
  closeLater(t, sender, receiver);
  native.sendMessage(sender, new Uint8Array(1), [1]);
  const [fd = -1] = native.receiveMessage(receiver, new Uint8Array(1))?.fds ?? [];
  closeLater(t, fd);
  t.true(isCloseOnExec(fd));
  t.true(isCloseOnExec(sender));
  t.true(isCloseOnExec(receiver));
});

test.serial('when not every fd arrives, all of them are closed and EMSGSIZE is thrown', async (t) => {
  const { code, output } = await runModule(
    `import { readdirSync } from 'node:fs';
     const count = () => readdirSync('/proc/self/fd').length;
     const [sender, receiver] = native.socketPair('stream');
     native.sendMessage(sender, new Uint8Array(1), new Array(100).fill(sender));
     const before = count();
     let thrown;
     try { native.receiveMessage(receiver, new Uint8Array(1)); } catch (error) { thrown = error; }
     const more = count() - before;
     console.log(thrown?.code, thrown?.syscall, more);`,
    ['sh', '-c', 'ulimit -n 64; exec "$@"', 'sh'],
  );
  t.is(output, 'EMSGSIZE recvmsg 0\n');
  t.is(code, 0);
});

test.serial('nothing leaks over 1,000 rounds of sending, receiving, refusals and errors', (t) => {
  const before = openFds();
  const into = new Uint8Array(64);
  for (let i = 0; i < 1000; i++) {
    const [one, other] = native.socketPair(i % 2 === 0 ? 'stream' : 'seqpacket');
    native.sendMessage(one, new Uint8Array(8), [one, other, 0]);
    for (const fd of native.receiveMessage(other, into)?.fds ?? []) native.close(fd);
    t.is(native.receiveMessage(other, into), null);
    const { pidfd } = native.peerCredentials(one);
    if (typeof pidfd === 'number') native.close(pidfd);
    // Left behind in the queue: the kernel closes them with the socket.
    native.sendMessage(one, new Uint8Array(8), [one, 0]);
    native.close(other);
    // ECONNRESET once, as something was unread there, and EPIPE from then on.
    t.throws(() => {
      while (native.sendMessage(one, new Uint8Array(8), [0]) !== null);
    });
    t.throws(() => native.sendMessage(one, new Uint8Array(8), [0]), { code: 'EPIPE' });
    native.close(one);
    t.throws(() => native.connectUnix('/nonexistent/socket'), { code: 'ENOENT' });
    t.throws(() => native.listenUnix('/nonexistent/socket', 1), { code: 'ENOENT' });
  }
  t.deepEqual(openFds(), before);
});

test.serial('the end of a stream is 0 bytes, nothing yet is null, and a cut datagram says so', (t) => {
  const [a, b] = native.socketPair('stream');
  closeLater(t, b);
  t.is(native.receiveMessage(b, new Uint8Array(4)), null);
  native.close(a);
  t.deepEqual(native.receiveMessage(b, new Uint8Array(4)), { bytes: 0, fds: [], truncated: false });

  const [c, d] = native.socketPair('seqpacket');
  closeLater(t, c, d);
  native.sendMessage(c, new Uint8Array(8), []);
  t.deepEqual(native.receiveMessage(d, new Uint8Array(4)), { bytes: 4, fds: [], truncated: true });
});

test.serial('sockets in the file system: listen, connect, accept and their errors', (t) => {
  const directory = temporaryDirectory(t);
  const path = join(directory, 's');
  const listener = native.listenUnix(path, 8);
  closeLater(t, listener);
  t.is(native.accept(listener), null);
  const client = native.connectUnix(path);
  const server = native.accept(listener);
  if (server === null) return t.fail('no connection');
  closeLater(t, client, server);
  t.true(isCloseOnExec(client) && isCloseOnExec(server) && isCloseOnExec(listener));
  t.is(native.receiveMessage(client, new Uint8Array(1)), null, 'does not block');
  native.sendMessage(client, new Uint8Array([7]), []);
  const into = new Uint8Array(2);
  t.is(native.receiveMessage(server, into)?.bytes, 1);
  t.is(into[0], 7);
  native.endWriting(client);
  native.endWriting(client);
  t.is(native.receiveMessage(server, into)?.bytes, 0);

  t.throws(() => native.listenUnix(path, 8), { code: 'EADDRINUSE' });
  t.throws(() => native.connectUnix(join(directory, 'none')), { code: 'ENOENT' });
  t.throws(() => native.connectUnix(`/${'x'.repeat(107)}`), { code: 'ENAMETOOLONG' });
  t.throws(() => native.listenUnix(`/${'x'.repeat(107)}`, 1), { code: 'ENAMETOOLONG' });
  writeFileSync(join(directory, 'file'), '');
  t.throws(() => native.connectUnix(join(directory, 'file')), { code: 'ECONNREFUSED' });
});

root('the kernel reports the peer: ids, groups and a pidfd of a child under another uid', async (t) => {
  const path = join(temporaryDirectory(t), 's');
  chmodSync(join(path, '..'), 0o755);
  const listener = native.listenUnix(path, 8);
  closeLater(t, listener);
  chmodSync(path, 0o777);
  const ids = ['--reuid', '60123', '--regid', '60124', '--groups', '60125,60126'];
  const script = 'require("net").connect(process.argv[1]); setInterval(() => {}, 1000)';
  const child = spawn('setpriv', [...ids, process.execPath, '-e', script, path], { stdio: 'inherit' });
  t.teardown(() => child.kill('SIGKILL'));
  const server = await acceptFrom(listener, child);
  const peer = native.peerCredentials(server);
  t.is(peer.pid, child.pid ?? -1);
  t.is(peer.uid, 60123);
  t.is(peer.gid, 60124);
  t.deepEqual(peer.groups, [60125, 60126]);
  t.deepEqual(native.peerIds(server), { pid: peer.pid, uid: peer.uid });
  if (typeof peer.pidfd === 'number') {
    closeLater(t, peer.pidfd);
    t.true(isCloseOnExec(peer.pidfd));
    t.true(native.pidfdAlive(peer.pidfd));
  } else {
    t.is(peer.pidfd, 'unsupported');
  }
  child.kill('SIGKILL');
  await once(child, 'exit');
  if (typeof peer.pidfd === 'number') t.false(native.pidfdAlive(peer.pidfd));
  // The same question about a peer that is dead and reaped.
  const late = native.peerCredentials(server);
  t.is(late.uid, 60123);
  if (typeof late.pidfd === 'number') {
    t.false(native.pidfdAlive(late.pidfd));
    native.close(late.pidfd);
  } else {
    t.true(['reaped', 'unsupported'].includes(late.pidfd));
  }
  native.close(server);
});

root('a peer with more groups than usual has all of them', async (t) => {
  const path = join(temporaryDirectory(t), 's');
  const listener = native.listenUnix(path, 8);
  closeLater(t, listener);
  const groups = Array.from({ length: 300 }, (_, index) => 61_000 + index);
  const script = 'require("net").connect(process.argv[1]); setInterval(() => {}, 1000)';
  const child = spawn('setpriv', ['--groups', groups.join(','), process.execPath, '-e', script, path], {
    stdio: 'inherit',
  });
  t.teardown(() => child.kill('SIGKILL'));
  const server = await acceptFrom(listener, child);
  closeLater(t, server);
  const peer = native.peerCredentials(server);
  if (typeof peer.pidfd === 'number') closeLater(t, peer.pidfd);
  t.deepEqual(peer.groups, groups);
});

test.serial('a socket that is not connected has no peer', (t) => {
  const path = join(temporaryDirectory(t), 's');
  const file = native.pidfdOpen(process.pid);
  closeLater(t, file);
  t.throws(() => native.peerCredentials(file), { code: 'ENOTSOCK' });
  t.throws(() => native.connectUnix(path), { code: 'ENOENT' });
});
