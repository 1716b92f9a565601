/** Options, addresses, errors, answers, idleness: what needs no bus. */
import test from 'ava';
import dbus from 'dbus-next';
import { BrokerCalls } from '#dist/bus/broker/broker_calls.js';
import { busSocket } from '#dist/bus/transport/connect.js';
import { CallError, errorReply } from '#dist/bus/dbus_error.js';
import { HELP, parseOptions } from '#dist/bus/options.js';
import { Service, type ServiceDependencies } from '#dist/bus/objects/service.js';
import type { IncomingCall } from '#dist/bus/transport/transport.js';
import { VarlinkError } from '#dist/client/errors.js';
import { brokerError } from '#dist/model/errors/error_table.js';
import type { Fd } from '#dist/native.js';
import { ValidationError } from '#dist/varlink/validate.js';

test('a bus is found by name, by environment and by address', (t) => {
  t.is(busSocket('system', {}), '/run/dbus/system_bus_socket');
  t.is(busSocket('system', { DBUS_SYSTEM_BUS_ADDRESS: 'unix:path=/a%20b,guid=1' }), '/a b');
  t.is(busSocket('session', { DBUS_SESSION_BUS_ADDRESS: 'tcp:host=x,port=1;unix:guid=1,path=/s' }), '/s');
  t.is(busSocket('unix:path=/x', {}), '/x');
  t.throws(() => busSocket('session', {}), { message: /DBUS_SESSION_BUS_ADDRESS/ });
  t.throws(() => busSocket('unix:abstract=x', {}), { message: /is not the address/ });
});

test('options have defaults and are checked', (t) => {
  const defaults = {
    socket: '/run/perfbroker/broker.sock',
    authorizer: undefined,
    brokerUser: undefined,
    bus: 'system',
    idleExit: 0,
    logLevel: 'info',
  };
  t.deepEqual(parseOptions([], {}), defaults as never);
  t.like(parseOptions(['--socket', '/a', '--authorizer', '/b', '--idle-exit', '60'], { PERFBROKER_SOCKET: '/c' }), {
    socket: '/a',
    authorizer: '/b',
    idleExit: 60,
  });
  t.like(parseOptions([], { PERFBROKER_SOCKET: '/c' }), { socket: '/c' });
  t.is(parseOptions(['--help']), 'help');
  t.is(parseOptions(['--version']), 'version');
  for (const wrong of [['--idle-exit', '1.5'], ['--log-level', 'loud'], ['--colour'], ['operand']])
    t.throws(() => parseOptions(wrong, {}));
  for (const option of ['--socket', '--authorizer', '--broker-user', '--bus', '--idle-exit', '--log-level'])
    t.true(HELP.includes(option));
});

test('an exception becomes a name and a message for the caller, and never a stack', (t) => {
  const denied = errorReply(brokerError('Unavailable', 'not-running', 'nobody there'));
  t.is(denied.name, 'org.perfbroker.Broker1.Error.Unavailable');
  t.regex(denied.message, /^nobody there \(not-running\)\n/);
  t.is(errorReply(new CallError('UnknownMethod', 'x')).name, 'org.freedesktop.DBus.Error.UnknownMethod');
  t.is(errorReply(new ValidationError('a.b', 'is odd')).message, 'a.b: is odd');
  t.regex(
    errorReply(new VarlinkError('org.varlink.service.InvalidParameter', { parameter: 'cpus' })).message,
    /does not take cpus/,
  );
  for (const inner of [new TypeError('secret'), 'secret', null, new VarlinkError('a.b', { secret: 1 })]) {
    const reply = errorReply(inner);
    t.is(reply.name, 'org.freedesktop.DBus.Error.Failed');
    t.true(reply.internal);
    t.notRegex(reply.message, /secret|at /);
  }
  const long = errorReply(new CallError('Failed', `\0${'x'.repeat(5000)}`));
  t.true(long.message.length < 2100);
  t.false(long.message.includes('\0'));
});

test('an answer whose values do not fit becomes an error, so that the caller does not wait', async (t) => {
  const sent: dbus.Message[] = [];
  const logged: string[] = [];
  const send = (message: dbus.Message): void => {
    if (message.type === dbus.MessageType.METHOD_RETURN) throw new TypeError('secret');
    sent.push(message);
  };
  const connection: { bus: object; onCall: (call: IncomingCall) => void } = { bus: { send }, onCall: () => {} };
  new Service({
    connection,
    callers: {
      run: (_name: string, _bytes: number, body: (caller: object) => unknown) => body({}),
      mayReceive: () => true,
    },
    log: { error: (text: string) => logged.push(text) },
    onCall: () => {},
  } as unknown as ServiceDependencies);
  const names = { path: '/', interface: 'org.freedesktop.DBus.Peer', member: 'Ping', sender: ':1.1', serial: 7 };
  connection.onCall({ message: new dbus.Message(names), bytes: 0, body: () => [] });
  await new Promise((resolve) => setImmediate(resolve));
  t.is(sent.length, 1);
  t.like(sent[0], { errorName: 'org.freedesktop.DBus.Error.Failed', destination: ':1.1', replySerial: 7 });
  t.notRegex(String((sent[0]!.body as unknown[])[0]), /secret/);
  t.regex(logged.join('\n'), /^Ping of :1\.1: TypeError: secret/);
});

test('arguments with more values than the broker accepts are refused before the broker is called', async (t) => {
  const calls = new BrokerCalls('/nowhere');
  const caller = { uid: 1, pidfd: 0 as Fd, name: ':1.1', gone: new AbortController().signal };
  const ask = (count: number): Promise<unknown> =>
    calls.onBehalf(caller, 'PrepareOpen', { cpus: Array.from({ length: count }, () => 1) });
  await t.throwsAsync(ask(20_000), { instanceOf: CallError, message: /more than 16000 values/ });
  await t.throwsAsync(ask(15_000), { message: /nowhere/ });
});
