import test from 'ava';
import { HELP, parseOptions } from '#dist/bus/options.js';

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
