import test, { type ExecutionContext } from 'ava';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { renameSync, rmSync } from 'node:fs';
import { connect, DEFAULT_SOCKET, socketPath } from '#dist/client/connect.js';
import { BrokerError } from '#dist/model/errors/errors.js';
import { native } from '#dist/native.js';
import { FakeBroker } from './fake_broker.js';

const revoked = { fds: 1, disabled: 1, kept: 'the holder keeps its fds' };

function withVariable<Result>(t: ExecutionContext, value: string, body: () => Result): Result {
  process.env['PERFBROKER_SOCKET'] = value;
  t.teardown(() => delete process.env['PERFBROKER_SOCKET']);
  return body();
}

test.serial('a socket that is not there means that the broker is not running', async (t) => {
  const error = await t.throwsAsync(connect({ socket: '/nonexistent/broker.sock' }), { instanceOf: BrokerError });
  t.deepEqual([error.error, error.code, error.errno], ['Unavailable', 'not-running', 2]);
  t.regex(error.message, /\/nonexistent\/broker\.sock/);
  t.regex(error.remedy, /systemctl start perfbroker/);
});

test.serial('a socket without a listener means that the broker is not running', async (t) => {
  const broker = new FakeBroker({});
  t.teardown(() => broker.close());
  renameSync(broker.path, `${broker.path}.kept`);
  native.close(native.listenUnix(broker.path, 1));
  const error = await t.throwsAsync(connect({ socket: broker.path }), { instanceOf: BrokerError });
  t.deepEqual([error.code, error.errno], ['not-running', 111]);
});

test.serial('a path that cannot be a socket is an error of its own, with the limit or the kind', async (t) => {
  const datagrams = `/tmp/perfbroker-datagrams-${process.pid}`;
  const holder = spawn('python3', [
    '-c',
    `import socket,sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(sys.argv[1]); print(); sys.stdin.read()`,
    datagrams,
  ]);
  t.teardown(() => {
    holder.kill();
    rmSync(datagrams, { force: true });
  });
  await once(holder.stdout, 'data');
  for (const [socket, message] of [
    [`/${'x'.repeat(199)}`, /has 200 bytes; the limit is 107/],
    ['/proc/version', /^\/proc\/version is not a socket/],
    ['/tmp', /^\/tmp is not a socket/],
    ['/proc/version/x', /is not a stream socket \(ENOTDIR\)/],
    [datagrams, /is not a stream socket \(EPROTOTYPE\)/],
  ] as const) {
    const error = await t.throwsAsync(connect({ socket }), { instanceOf: BrokerError, message });
    t.is(error.code, 'invalid-socket');
    t.regex(error.remedy, /--socket or PERFBROKER_SOCKET/);
  }
});

test.serial('PERFBROKER_SOCKET names the socket', async (t) => {
  const broker = new FakeBroker({ Revoke: (_call, reply) => void reply.reply(revoked) });
  t.teardown(() => broker.close());
  const client = await withVariable(t, broker.path, () => connect());
  t.deepEqual(await client.revoke('g'), revoked);
  await client.close();
});

test.serial('an option overrides the variable, and an empty variable is ignored', (t) => {
  t.is(socketPath(undefined), DEFAULT_SOCKET);
  t.is(
    withVariable(t, '/a', () => socketPath('/b')),
    '/b',
  );
  t.is(
    withVariable(t, '/a', () => socketPath(undefined)),
    '/a',
  );
  t.is(
    withVariable(t, '', () => socketPath(undefined)),
    DEFAULT_SOCKET,
  );
});
