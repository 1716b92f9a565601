import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { native } from '#dist/native.js';
import { parseInterface } from '#dist/varlink/idl.js';
import { Service } from '#dist/varlink/service.js';
import { LIMITS, fdsBackTo, openFds } from './helpers.js';

const definition = parseInterface(`interface org.example.test
method Swap(first: int, second: int) -> (first: int, second: int)
`);

/** A client that shares no code with ours: sends two pipes' read ends, gets them back in the other order, reads both. */
const CLIENT = `
import array, json, os, socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.connect(sys.argv[1])
def call(method, parameters, fds=[]):
    message = json.dumps({'method': method, 'parameters': parameters}).encode() + b'\\0'
    socket.send_fds(peer, [message], fds)
def reply():
    data, fds = b'', []
    while not data.endswith(b'\\0'):
        part, more, flags, _ = socket.recv_fds(peer, 65536, 253)
        if not part: raise EOFError(data)
        data += part; fds += more
    return json.loads(data[:-1]), fds
texts = []
for word in (b'one', b'two'):
    r, w = os.pipe(); os.write(w, word); os.close(w); texts.append(r)
call('org.example.test.Swap', {'first': 0, 'second': 1}, texts)
answer, fds = reply()
print(answer['parameters'], [os.read(fds[answer['parameters'][k]], 9).decode() for k in ('first', 'second')])
call('org.varlink.service.GetInfo', {})
print(reply()[0]['parameters']['interfaces'])
call('org.example.test.Swap', {'first': 0})
print(reply()[0])
peer.sendall(b'[' * 100000 + b'\\0')
try: print('reply', reply())
except (EOFError, ConnectionError): print('closed')
`;

test('a client in Python calls with fds, is answered with fds, and is dropped when it sends nonsense', async (t) => {
  if (spawnSync('python3', ['-c', 'import socket; socket.send_fds']).status !== 0) {
    t.log('skipped: needs python3 of at least 3.9');
    t.pass();
    return;
  }
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-test-'));
  const path = join(directory, 'socket');
  const before = openFds();
  const listener = native.listenUnix(path, 8);
  const service = new Service({
    vendor: 'v',
    product: 'p',
    version: '1',
    url: 'u',
    checkReplies: true,
    internalError: () => ({ name: 'org.example.test.Internal', parameters: {} }),
    interfaces: [
      {
        definition,
        handlers: {
          Swap: ({ parameters, fds }, reply) => {
            const first = fds.take(Number(parameters['first']), 'first');
            reply.reply({ first: 1, second: 0 }, [first, fds.take(Number(parameters['second']), 'second')]);
          },
        },
      },
    ],
  });
  const closed = new Promise<string>((resolve) => {
    const poller = native.createPoller(listener, () => {
      const socket = native.accept(listener);
      if (socket === null) return;
      poller.close();
      service.serve({ socket, limits: LIMITS, context: null, onClose: ({ kind }) => resolve(kind) });
    });
    poller.start(1);
  });
  const child = spawn('python3', ['-c', CLIENT, path], { stdio: ['ignore', 'pipe', 'inherit'], timeout: 20_000 });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  await new Promise((resolve) => child.on('close', resolve));
  t.deepEqual(output.trim().split('\n'), [
    "{'first': 1, 'second': 0} ['two', 'one']",
    "['org.varlink.service', 'org.example.test']",
    "{'error': 'org.varlink.service.InvalidParameter', 'parameters': {'parameter': 'second'}}",
    'closed',
  ]);
  t.is(await closed, 'protocol');
  native.close(listener);
  rmSync(directory, { recursive: true });
  t.deepEqual(await fdsBackTo(before), before);
});
