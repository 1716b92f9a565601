import test from 'ava';
import type { MethodHandler } from '#dist/varlink/service.js';
import { INTERRUPT, runCommand } from './run_command.js';

const GRANT = {
  id: 'aa00',
  uid: 1000,
  pid: 42,
  executable: '/usr/bin/\u001bapp',
  targets: ['process 42', 'process 43'],
  events: 1,
  fds: 2,
  ringBytes: 8192,
  rule: 'own',
  ageSeconds: 3,
  leaseSeconds: 0,
};

test('grants are a table in which the terminal is safe from names, or JSON', async (t) => {
  const asked: unknown[] = [];
  const list: Record<string, MethodHandler<null>> = {
    ListGrants: ({ parameters }, reply) => {
      asked.push(parameters);
      reply.reply({ grants: [GRANT] });
    },
  };
  const { code, stdout } = await runCommand(t, list, 'grants');
  t.is(code, 0);
  const [header = '', row = ''] = stdout.split('\n');
  t.deepEqual(header.split(/ +/), [
    'grant',
    'uid',
    'pid',
    'age',
    'lease',
    'fds',
    'rings',
    'rule',
    'targets',
    'executable',
  ]);
  t.regex(row, /^aa00 +1000 +42 +3 s +none +2 +8\.0 KiB +own +process 42 process 43 +\/usr\/bin\/\S*app$/);
  t.false(stdout.includes('\u001b'));
  t.deepEqual(JSON.parse((await runCommand(t, list, 'grants', '--json', '--all')).stdout), [GRANT]);
  t.deepEqual(asked, [{}, { all: true }]);
});

test('no grants are a sentence', async (t) => {
  const { stdout } = await runCommand(t, { ListGrants: (_call, reply) => void reply.reply({ grants: [] }) }, 'grants');
  t.is(stdout, 'No grants.\n');
});

test('changes are followed one by one, until Ctrl-C', async (t) => {
  const watch: MethodHandler<null> = (_call, reply) => {
    reply.continue({ change: 'present' });
    reply.continue({ change: 'removed', grant: GRANT, reason: INTERRUPT });
    return new Promise(() => undefined);
  };
  const { code, stdout, stderr } = await runCommand(t, { WatchGrants: watch }, 'grants', '--follow');
  const [first, second] = stdout.split('\n');
  t.is(first, 'No grants.');
  t.regex(second ?? '', /^removed .*: aa00 of uid 1000, pid 42 .*: 2 fds by own on process 42, process 43$/);
  t.deepEqual([code, stderr], [0, '']);
});

test('a grant cannot add a line, in the list or in the changes', async (t) => {
  const forged = { ...GRANT, executable: '/x\nfeed 0 1 ok', targets: ['process 1 y\nfeed 0 1 ok'], rule: 'r\nfeed' };
  const list = await runCommand(t, { ListGrants: (_call, reply) => void reply.reply({ grants: [forged] }) }, 'grants');
  t.is(list.stdout.split('\n').length, 3, list.stdout);
  t.regex(list.stdout, /\/x\\u\{000a\}feed 0 1 ok\n$/);
  const watch: MethodHandler<null> = (_call, reply) => {
    reply.continue({ change: 'added', grant: forged });
    reply.continue({ change: 'removed', grant: forged, reason: `x\nfeed ${INTERRUPT}` });
    return new Promise(() => undefined);
  };
  const { stdout } = await runCommand(t, { WatchGrants: watch }, 'grants', '--follow');
  t.deepEqual(
    stdout.split('\n').map((line) => line.split(/[ :]/, 1)[0]),
    ['added', 'removed', ''],
  );
});
