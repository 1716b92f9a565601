import test, { type ExecutionContext } from 'ava';
import { Channel } from '#dist/client/channel.js';
import { native, type Fd } from '#dist/native.js';

function open(t: ExecutionContext): { channel: Channel; peer: Fd; answer: (message: object) => void } {
  const [socket, peer] = native.socketPair('stream');
  const channel = new Channel(socket);
  t.teardown(() => {
    channel.close();
    native.close(peer);
  });
  return {
    channel,
    peer,
    answer: (message) => void native.sendMessage(peer, Buffer.from(`${JSON.stringify(message)}\0`), []),
  };
}

test('a call is one of the interface of the broker', async (t) => {
  const { channel, peer, answer } = open(t);
  const call = channel.call('Revoke', { grant: 'g' }, { timeoutMs: 0 });
  const bytes = new Uint8Array(1000);
  const received = native.receiveMessage(peer, bytes);
  const text = Buffer.from(bytes.subarray(0, received?.bytes)).toString().replace('\0', '');
  t.like(JSON.parse(text), { method: 'org.perfbroker.Broker.Revoke', parameters: { grant: 'g' } });
  answer({ parameters: { fds: 2, disabled: 1, kept: 'k' } });
  t.like((await call)[0], { parameters: { fds: 2, disabled: 1, kept: 'k' } });
});

test('an error of the broker is a BrokerError with its code', async (t) => {
  const { channel, answer } = open(t);
  const call = channel.call('Revoke', { grant: 'g' }, { timeoutMs: 0 });
  const parameters = { code: 'grant', message: 'no grant', errno: 0, cause: '', remedy: '' };
  answer({ error: 'org.perfbroker.Broker.NoSuchGrant', parameters });
  t.like(await t.throwsAsync(call), { error: 'NoSuchGrant', code: 'grant' });
});

test('a broker that sends nonsense or does not answer is unavailable, each with its code', async (t) => {
  const odd = open(t);
  const call = odd.channel.call('Revoke', { grant: 'g' }, { timeoutMs: 0 });
  odd.answer({ parameters: { fds: 'two' } });
  t.like(await t.throwsAsync(call, { message: /unexpected message/ }), { code: 'connection-lost' });
  const silent = open(t);
  const late = silent.channel.call('Revoke', { grant: 'g' }, { timeoutMs: 1 });
  t.like(await t.throwsAsync(late, { message: /Revoke was not answered within 1 ms/ }), { code: 'timed-out' });
  const ended = open(t);
  const lost = ended.channel.call('Revoke', { grant: 'g' }, { timeoutMs: 0 });
  native.shutdown(ended.peer);
  t.like(await t.throwsAsync(lost, { message: /connection to the broker ended/ }), { code: 'connection-lost' });
});
