/** Attrs that the real perf passes to perf_event_open(2), and the real kernel's response to ours. */
import { Buffer } from 'node:buffer';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import test, { type ExecutionContext } from 'ava';
import { decodeAttr, encodeAttr } from '#dist/model/events/attr/attr.js';
import { OFFSET } from '#dist/model/events/attr/attr_layout.js';
import { parseEvents } from '#dist/model/events/syntax/event_syntax.js';
import { withCounting, withSampling } from '#dist/model/events/event_defaults.js';
import { compileTools } from '../tools/compile.js';

const tools = compileTools('perf_attrs', 'open_attrs');
test.after.always(() => tools.remove());

const missing = ((): string | undefined => {
  if (process.getuid?.() !== 0) return 'it needs root';
  if (spawnSync('perf', ['--version']).status !== 0) return 'perf is not installed';
  return undefined;
})();
const perfTest = missing === undefined ? test : test.skip;
if (missing !== undefined) process.stderr.write(`perf_attrs: skipped, ${missing}\n`);

/** Every attr that `perf ARGS` passes, without doubles. */
function captureAttrs(...args: readonly string[]): readonly Buffer[] {
  const { status, output, stderr } = spawnSync(tools.path('perf_attrs'), ['3', 'perf', ...args], {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    encoding: 'latin1',
    timeout: 30_000,
  });
  if (status !== 0) throw new Error(`perf ${args.join(' ')} ended with ${String(status)}: ${stderr}`);
  const lines = (output[3] ?? '').trim().split('\n');
  return [...new Set(lines)].map((line) => Buffer.from(line, 'hex'));
}

/** Asserts that decoding and encoding keep the bytes, except for disabled and the size that ours is encoded in. */
function assertRoundTrip(t: ExecutionContext, bytes: Buffer): void {
  const again = Buffer.from(encodeAttr(decodeAttr(bytes)));
  const expected = Buffer.alloc(again.length);
  expected.set(bytes.subarray(0, again.length));
  expected.writeUInt32LE(again.length, OFFSET.size);
  expected[OFFSET.flags] = (expected[OFFSET.flags] ?? 0) & ~1;
  t.deepEqual(again, expected, bytes.toString('hex'));
}

// The thread that collects BPF programs makes perf wait a second before it ends: in one run only.
const record = ['record', '-o', '/dev/null', '--no-bpf-event'];
for (const [what, args, atLeast] of [
  ['perf record', ['record', '-o', '/dev/null', '-e', 'cpu-clock', '-F', '99', '--', 'true'], 2],
  ['perf record -g', [...record, '-e', 'page-faults:u', '-c', '1', '-g', '--', 'true'], 2],
  [
    'perf record of two events with stacks',
    [...record, '-e', 'cpu-clock:u,cs', '--call-graph', 'dwarf', '-d', '--', 'true'],
    3,
  ],
  ['perf record of a group', [...record, '-e', '{cpu-clock,faults}:S', '--', 'true'], 3],
  [
    'perf record with a clock and namespaces',
    [...record, '-e', 'task-clock', '-k', 'CLOCK_MONOTONIC_RAW', '--namespaces', '--switch-events', '--', 'true'],
    2,
  ],
  ['perf record of a tracepoint', [...record, '-e', 'sched:sched_process_exec', '--', 'true'], 2],
  [
    'perf record system-wide',
    [...record, '-a', '-e', 'cpu-clock', '--all-cgroups', '--phys-data', '--data-page-size', '--', 'true'],
    2,
  ],
  ['perf stat', ['stat', '--', 'true'], 5],
  ['perf stat of a group', ['stat', '-e', '{page-faults,cs}:u,minor-faults', '--', 'true'], 3],
] as const) {
  perfTest(`every attr that ${what} passes survives the model unchanged`, (t) => {
    const attrs = captureAttrs(...args);
    t.true(attrs.length >= atLeast, `${attrs.length} attrs were seen`);
    for (const attr of attrs) assertRoundTrip(t, attr);
  });
}

perfTest('perf passes the same attr as ours for the same event, as far as the event itself goes', (t) => {
  const texts = [
    'cpu-clock',
    'page-faults:u',
    'cs:k',
    'task-clock:uI',
    'minor-faults:pp',
    'mem:0x1000/8:rw:u',
    'mem:0x2000:x',
    'r01c2:u',
    'L1-dcache-load-misses:k',
    'branches:uk',
  ];
  for (const text of texts) {
    const [ours] = parseEvents(text);
    const passed = spawnSync(tools.path('perf_attrs'), ['3', 'perf', 'stat', '-e', text, '--', 'true'], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
      encoding: 'latin1',
    });
    // perf's feature probes come first; the event itself comes last, or more than once.
    const specs = (passed.output[3] ?? '')
      .trim()
      .split('\n')
      .map((line) => decodeAttr(Buffer.from(line, 'hex')));
    const sources = specs.map(({ source }) => source);
    t.true(
      ours !== undefined &&
        sources.some((source) => JSON.stringify(source, bigText) === JSON.stringify(ours.source, bigText)),
      `${text}: ${JSON.stringify(sources, bigText)}`,
    );
    // perf excludes guests everywhere by default; ours does where it has to.
    const levels = (exclude: readonly string[]): string => exclude.filter((name) => name !== 'guest').join();
    const same = specs.filter((spec) => JSON.stringify(spec.source, bigText) === JSON.stringify(ours?.source, bigText));
    t.true(
      same.some((spec) => levels(spec.exclude) === levels(ours?.exclude ?? []) && spec.preciseIp === ours?.preciseIp),
      text,
    );
  }
});

function bigText(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}

/** errno of perf_event_open(2) on this process for each attr. */
function openErrnos(attrs: readonly Uint8Array[]): readonly number[] {
  const input = attrs.map((attr) => `${Buffer.from(attr).toString('hex')}\n`).join('');
  return execFileSync(tools.path('open_attrs'), { input, encoding: 'latin1' }).trim().split('\n').map(Number);
}

perfTest('the kernel opens the events that a collector requests', (t) => {
  const events = parseEvents('cpu-clock,task-clock:u,page-faults,cs,dummy,mem:0x1000/8:rw:u');
  const stack = { bytes: 8192, registers: 0xff0fffn };
  const requests = [
    ...withCounting(events, { inherit: true }),
    ...withSampling(events, {
      sampling: { frequency: 99 },
      callchain: true,
      inherit: true,
      enableOnExec: true,
      clock: 'monotonic',
      maxStack: 64,
      wakeupBytes: 4096,
    }),
    ...(process.arch === 'x64' ? withSampling(events, { sampling: { period: 1000n }, stack }) : []),
  ];
  t.deepEqual(
    openErrnos(requests.map((spec) => encodeAttr(spec, {}, { disabled: true }))),
    requests.map(() => 0),
  );
});

const tracepointId = readTracepointId();
if (tracepointId === undefined) process.stderr.write('perf_attrs: tracepoint test skipped, no tracefs is mounted\n');
(tracepointId === undefined ? test.skip : perfTest)('the kernel opens a tracepoint by the id of its name', (t) => {
  const attrs = withSampling(parseEvents('sched:sched_switch'), { sampling: { period: 1n } }).map((spec) =>
    encodeAttr(spec, { tracepointId: Number(tracepointId) }),
  );
  t.deepEqual(openErrnos(attrs), [0]);
});

function readTracepointId(): string | undefined {
  for (const root of ['/sys/kernel/tracing', '/sys/kernel/debug/tracing']) {
    try {
      return readFileSync(join(root, 'events/sched/sched_switch/id'), 'latin1').trim();
    } catch {
      continue;
    }
  }
  return undefined;
}
