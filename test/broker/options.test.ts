import test from 'ava';
import { parseOptions } from '#dist/broker/options.js';

test('the options that perfbrokerd passes are parsed', (t) => {
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

test('other options and values are refused', (t) => {
  t.throws(() => parseOptions(['--ceiling', 'user,everything']));
  t.throws(() => parseOptions(['--ceiling', 'user', '--log-level', 'loud']));
  t.throws(() => parseOptions(['--ceiling', 'user', '--audit-fd', '5x']));
  t.throws(() => parseOptions(['--ceiling', 'user', '--nonsense']));
});
