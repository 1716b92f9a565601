import test from 'ava';
import { parseOptions } from '#dist/broker/options.js';

test('what perfbrokerd passes is understood', (t) => {
  const options = parseOptions([
    '--socket',
    '/s',
    '--ceiling',
    'user,kernel',
    '--capability',
    'CAP_PERFMON',
    '--log-level',
    'debug',
    '--audit-fd',
    '5',
  ]);
  t.like(options, {
    socket: '/s',
    ceiling: ['user', 'kernel'],
    capability: 'CAP_PERFMON',
    logLevel: 'debug',
    audit: 5,
    tracepoints: null,
  });
});

test('anything else is refused', (t) => {
  t.throws(() => parseOptions(['--ceiling', 'user,everything']));
  t.throws(() => parseOptions(['--ceiling', 'user', '--log-level', 'loud']));
  t.throws(() => parseOptions(['--ceiling', 'user', '--audit-fd', '5x']));
  t.throws(() => parseOptions(['--ceiling', 'user', '--nonsense']));
});
