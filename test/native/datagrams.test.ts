import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { native } from '#dist/native.js';
import { closeLater, isCloseOnExec, openFds } from './support.js';

/** Program that reads N datagrams (none, with 0) from a socket, and prints each in hexadecimal on a line. */
const READER = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
name = sys.argv[1]
s.bind('\\0' + name[1:] if name[0] == '@' else name)
print('ready', flush=True)
for _ in range(int(sys.argv[2])): print(s.recv(1 << 20).hex(), flush=True)
sys.stdin.read()
`;

async function startReader(name: string, count: number): Promise<{ lines: () => Promise<string[]>; end: () => void }> {
  const child = spawn('python3', ['-c', READER, name, String(count)], { stdio: ['pipe', 'pipe', 'inherit'] });
  let text = '';
  let wake = (): void => undefined;
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString();
    wake();
  });
  const lines = async (): Promise<string[]> => {
    while (text.split('\n').length < count + 2) await new Promise<void>((resolve) => (wake = resolve));
    return text.trim().split('\n').slice(1);
  };
  while (!text.startsWith('ready')) await new Promise<void>((resolve) => (wake = resolve));
  return { lines, end: () => void child.stdin.end() };
}

const directory = mkdtempSync(join(tmpdir(), 'perfbroker-datagrams-'));
test.after.always(() => rmSync(directory, { recursive: true }));

for (const name of [join(directory, 'path'), `@perfbroker-test-${process.pid}`]) {
  test(`datagrams arrive whole and in order at ${name.startsWith('@') ? 'an abstract name' : 'a path'}`, async (t) => {
    const reader = await startReader(name, 2);
    t.teardown(reader.end);
    const socket = native.datagramSocket();
    closeLater(t, socket);
    t.true(isCloseOnExec(socket));
    native.sendDatagram(socket, name, Buffer.from('READY=1\nSTATUS=a'));
    native.sendDatagram(socket, name, Buffer.alloc(100_000, 7));
    const [first = '', second = ''] = await reader.lines();
    t.is(Buffer.from(first, 'hex').toString(), 'READY=1\nSTATUS=a');
    t.is(second, '07'.repeat(100_000));
  });
}

test('a reader that is behind is EAGAIN at once, and nothing of it waits', async (t) => {
  const name = join(directory, 'full');
  const reader = await startReader(name, 0);
  t.teardown(reader.end);
  const socket = native.datagramSocket();
  closeLater(t, socket);
  const error = t.throws(() => {
    for (let i = 0; i < 10_000; i++) native.sendDatagram(socket, name, new Uint8Array(1));
  });
  t.like(error, { code: 'EAGAIN', syscall: 'sendto' });
});

test('a missing reader, a name that is too long and a datagram that is too long give errors with names', async (t) => {
  const socket = native.datagramSocket();
  closeLater(t, socket);
  const send = (name: string, bytes = 1): void => native.sendDatagram(socket, name, new Uint8Array(bytes));
  t.throws(() => send(join(directory, 'nobody')), { code: 'ENOENT' });
  t.throws(() => send(`@perfbroker-nobody-${process.pid}`), { code: 'ECONNREFUSED' });
  t.throws(() => send(`/${'x'.repeat(107)}`), { code: 'ENAMETOOLONG' });
  t.throws(() => send(`@${'x'.repeat(108)}`), { code: 'ENAMETOOLONG' });
  t.throws(() => send(''), { instanceOf: TypeError });
  t.throws(() => native.sendDatagram(socket, '/x', new Uint8Array(0)), { instanceOf: TypeError });
  const name = join(directory, 'large');
  const reader = await startReader(name, 0);
  t.teardown(reader.end);
  t.throws(() => send(name, 8 << 20), { code: 'EMSGSIZE' });
});

test.serial('nothing leaks over 1,000 sockets', (t) => {
  const before = openFds();
  for (let i = 0; i < 1000; i++) native.close(native.datagramSocket());
  t.deepEqual(openFds(), before);
});
