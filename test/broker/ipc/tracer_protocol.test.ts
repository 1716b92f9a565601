import { execFileSync } from 'node:child_process';
import test from 'ava';
import {
  decodeTracerReply,
  encodeDowngrade,
  MAX_DEADLINE,
  MAX_THREADS,
  TRACER_STATUSES,
} from '#dist/broker/ipc/tracer_protocol.js';
import { TRACER } from '#dist/common/native_messages.js';
import { compileTools } from '../../tools/compile.js';

const sources = [
  ...['attach', 'downgrade', 'inject', 'refuse', 'registers', 'tracer'].map((name) => `tracer/${name}.cc`),
  ...['caps', 'client', 'log', 'proc', 'scm', 'seccomp', 'workers'].map((name) => `core/${name}.cc`),
];
const tools = compileTools({ cxx: 'tracer_requests', with: sources });
test.after.always(() => tools.remove());
const MALFORMED = [
  'version',
  'serial',
  'flags',
  'no-deadline',
  'long-deadline',
  'nothing',
  'reserved',
  'dumpable',
  'no-fds',
  'one-fd',
  'three-fds',
  'short',
  'long',
];

test('a malformed request ends the tracer', (t) => {
  const output = execFileSync(tools.path('tracer_requests'), MALFORMED, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  t.deepEqual(
    output.trim().split('\n'),
    MALFORMED.map((name) => `${name} exit 9`),
  );
});

test('a connection that was not accepted on our socket is a bad client, and the tracer continues', (t) => {
  const names = ['foreign-connection', 'no-socket'];
  const output = execFileSync(tools.path('tracer_requests'), names, { encoding: 'utf8' });
  const status = TRACER_STATUSES.indexOf('bad-client');
  t.deepEqual(
    output.trim().split('\n'),
    names.map((name) => `${name} status ${status}`),
  );
});

const process = {
  pid: 1,
  startTime: 7n,
  uids: [1, 2, 3],
  gids: [4, 5, 6],
  permitted: 8n,
  dumpable: true,
  sameUserNamespace: true,
  executable: '',
  cgroup: '',
} as const;
const request = { drop: 1n, noNewPrivs: false, dryRun: false, deadline: 100, expected: process };

test('requests that the tracer would refuse as malformed are never sent', (t) => {
  for (const wrong of [
    { drop: 0n },
    { deadline: 0 },
    { deadline: MAX_DEADLINE + 1 },
    { deadline: 1.5 },
    { deadline: NaN },
  ])
    t.throws(() => encodeDowngrade(1, { ...request, ...wrong }), { instanceOf: RangeError });
  t.notThrows(() => encodeDowngrade(1, { ...request, drop: 0n, noNewPrivs: true }));
});

test('a reply that the tracer never sends is refused', (t) => {
  const reply = (change: (view: DataView) => void): Uint8Array => {
    const bytes = new Uint8Array(TRACER.reply.size);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, TRACER.version, true);
    change(view);
    return bytes;
  };
  const set = (field: keyof typeof TRACER.reply, value: number) => (view: DataView) =>
    view.setUint32(TRACER.reply[field], value, true);
  t.notThrows(() => decodeTracerReply(reply(() => {})));
  for (const change of [
    set('version', 2),
    set('status', TRACER_STATUSES.length),
    set('thread_count', MAX_THREADS + 1),
    set('count', 1),
    set('first', 1),
  ])
    t.throws(() => decodeTracerReply(reply(change)), { instanceOf: RangeError });
  t.throws(() => decodeTracerReply(new Uint8Array(TRACER.reply.size - 1)), { instanceOf: RangeError });
});
