import test, { type ExecutionContext } from 'ava';
import { native, type Fd } from '#dist/native.js';
import { Channel } from '#dist/varlink/channel.js';
import { parseInterface } from '#dist/varlink/idl.js';
import { fdsOnceThey, LIMITS, openFds, someFd } from './helpers.js';

const DEFINITION = parseInterface('interface org.example.Test\nmethod Count() -> (number: int)');

class Unexpected extends Error {}

const pidfds = (fds: readonly string[]): readonly string[] => fds.filter((fd) => fd.includes('pidfd'));

interface World {
  readonly channel: Channel;
  /** Sends a message to the channel as the service. */
  readonly send: (message: object, fds?: readonly Fd[]) => void;
}

function openChannel(t: ExecutionContext): World {
  const [socket, peer] = native.socketPair('stream');
  const channel = new Channel({
    socket,
    definition: DEFINITION,
    limits: LIMITS,
    errors: {
      fromReply: (error) => new Error(error),
      closed: (detail) => new Error(`closed: ${detail}`),
      unexpected: (detail) => new Unexpected(detail),
      timedOut: (method) => new Error(`timed out: ${method}`),
    },
  });
  t.teardown(() => {
    channel.close();
    native.close(peer);
  });
  return {
    channel,
    send: (message, fds = []) => void native.sendMessage(peer, Buffer.from(`${JSON.stringify(message)}\0`), fds),
  };
}

test('a reply of the wrong type is the fault of the peer', async (t) => {
  const { channel, send } = openChannel(t);
  const call = channel.call('Count', {}, { timeoutMs: 0 });
  send({ parameters: { number: 'one' } });
  await t.throwsAsync(call, { instanceOf: Unexpected, message: /number/ });
  t.true(channel.closed);
});

test.serial(
  'a fault in the code that receives a reply is reported as it is, and closes the fds of the reply',
  async (t) => {
    const { channel, send } = openChannel(t);
    const sent = someFd();
    const before = pidfds(openFds());
    const fault = new TypeError('a fault of this side');
    const onReply = (): void => {
      throw fault;
    };
    const call = channel.call('Count', {}, { timeoutMs: 0, more: true, onReply });
    send({ parameters: { number: 1 }, continues: true }, [sent]);
    t.is(await t.throwsAsync(call), fault);
    t.true(channel.closed);
    t.deepEqual(pidfds(await fdsOnceThey((fds) => pidfds(fds).length === before.length)), before);
    native.close(sent);
  },
);
