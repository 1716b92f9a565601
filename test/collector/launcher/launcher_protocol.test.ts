import test from 'ava';
import { recordingEvents } from '#dist/collector/event_defaults.js';
import {
  MAX_EVENTS,
  REPLY_BYTES,
  decodeLauncherReply,
  encodeLauncherRequest,
} from '#dist/collector/launcher/launcher_protocol.js';
import { eventFields } from '#dist/model/events/event_fields.js';
import { parseEvents } from '#dist/model/events/syntax/event_syntax.js';

const style = { callGraph: false, inherit: true, enableOnExec: true };
const events = recordingEvents(parseEvents('cpu-clock:u'), style).map((spec) => eventFields(spec, {}));

function open(count: number, cpus: number): Uint8Array {
  return encodeLauncherRequest({
    type: 'openEvents',
    events: Array.from({ length: count }, () => events[0]!),
    leaders: [],
    cpus: Array.from({ length: cpus }, (_, cpu) => cpu),
    ringPages: 128,
  });
}

test('every request has the same size, the version first and the type next', (t) => {
  const requests = [
    open(1, 1),
    encodeLauncherRequest({ type: 'ready' }),
    encodeLauncherRequest({ type: 'tracepoint', name: 'sched:sched_switch' }),
    encodeLauncherRequest({ type: 'failed', exitCode: 3, text: 'no' }),
  ];
  t.deepEqual(
    requests.map((bytes) => Buffer.from(bytes).readUInt32LE(4)),
    [1, 5, 2, 6],
  );
  t.true(requests.every((bytes) => bytes.length === requests[0]?.length && bytes[0] === 1));
});

test('more events or fds than a message holds are refused before anything is sent', (t) => {
  t.notThrows(() => open(MAX_EVENTS, 15));
  for (const [count, cpus] of [
    [0, 1],
    [MAX_EVENTS + 1, 1],
    [1, 0],
    [1, 254],
    [MAX_EVENTS, 16],
  ] as const)
    t.throws(() => open(count, cpus), { instanceOf: RangeError });
});

test('text that is too long is cut and still ends with a NUL', (t) => {
  const bytes = encodeLauncherRequest({ type: 'failed', exitCode: 1, text: 'x'.repeat(10_000) });
  t.is(bytes.at(-1), 0);
  t.is(bytes.at(-2), 'x'.charCodeAt(0));
});

test('a reply has the right size and version, or is refused', (t) => {
  const bytes = Buffer.alloc(REPLY_BYTES);
  for (const [index, value] of [1, 13, 4, 2, 3].entries()) bytes.writeUInt32LE(value, 4 * index);
  t.deepEqual(decodeLauncherReply(bytes), { error: 13, value: 4, failed: 2, fdCount: 3 });
  t.throws(() => decodeLauncherReply(bytes.subarray(1)), { instanceOf: RangeError });
  bytes.writeUInt32LE(2, 0);
  t.throws(() => decodeLauncherReply(bytes), { instanceOf: RangeError });
});
