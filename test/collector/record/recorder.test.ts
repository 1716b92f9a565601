import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { onlineCpus } from '#dist/common/cpus.js';
import { recordingEvents } from '#dist/collector/event_defaults.js';
import { writeFolded } from '#dist/collector/profile/folded_file.js';
import { readProfile } from '#dist/collector/profile/profile.js';
import type { RecordingPlan, RecordingSummary } from '#dist/collector/record/recording_plan.js';
import { record } from '#dist/collector/record/recorder.js';
import { hottestFunctions } from '#dist/collector/profile/hot_functions.js';
import type { ObservedCommand } from '#dist/collector/observed_command.js';
import { OutputFileError } from '#dist/formats/output_file.js';
import { PerfDataReader } from '#dist/formats/perfdata_reader.js';
import { eventName } from '#dist/model/events/syntax/event_name.js';
import { parseEvents } from '#dist/model/events/syntax/event_syntax.js';
import { native } from '#dist/native.js';
import { directOpener } from '../direct_opener.js';
import { startGated } from '../gated_command.js';
import { buildWorkload, startReady } from '../workload_program.js';

const directory = mkdtempSync(join(tmpdir(), 'perfbroker-recorder-'));
test.after.always(() => {
  rmSync(directory, { recursive: true, force: true });
});

const unfit = ((): string | undefined => {
  if (process.getuid?.() !== 0) return 'not root: events are opened directly here';
  return spawnSync('gcc', ['--version']).error === undefined ? undefined : 'there is no gcc';
})();
const perf = spawnSync('perf', ['--version']).status === 0;

const program = unfit === undefined ? buildWorkload(directory) : '';

/** Registers a test that records for real. Where that is not possible, the test is skipped and the reason printed. */
function real(title: string, body: (t: ExecutionContext) => Promise<void>): void {
  if (unfit === undefined) test.serial(title, body);
  else {
    console.error(`skipped, ${unfit}: ${title}`);
    test.skip(title, body);
  }
}

interface RecordRequest {
  readonly events?: string;
  readonly frequency?: number;
  readonly period?: bigint;
  readonly output: string;
  readonly targets?: RecordingPlan['targets'];
  readonly workload?: ObservedCommand;
  readonly durationMs?: number;
  readonly interrupt?: AbortSignal;
  readonly ringBytes?: number;
  readonly onBegin?: NonNullable<RecordingPlan['onBegin']>;
}

function recordTo({
  events = 'cpu-clock:u',
  frequency = 999,
  period,
  ...request
}: RecordRequest): Promise<RecordingSummary> {
  const bare = parseEvents(events);
  const { workload, targets } = request;
  return record(directOpener, {
    ringBytes: 1 << 17,
    interrupt: new AbortController().signal,
    ...request,
    targets: targets ?? (workload === undefined ? [] : [{ pid: workload.pid }]),
    events: recordingEvents(bare, {
      sampling: period === undefined ? { frequency } : { period },
      callGraph: true,
      inherit: true,
      enableOnExec: targets === undefined,
    }),
    names: bare.map(eventName),
    cpus: onlineCpus(),
    version: 'test',
    commandLine: ['test', 'with argument'],
  });
}

function perfText(t: ExecutionContext, ...args: string[]): string {
  if (!perf) {
    t.log('perf is missing: its reading of the file is not looked at');
    return '';
  }
  return execFileSync('perf', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
}

/** Number of samples in a recording that may still be growing, by event and thread. */
function samplesByThread(path: string): ReadonlyMap<string, number> {
  using reader = new PerfDataReader(path);
  const counts = new Map<string, number>();
  for (const { event, record: each } of reader.records()) {
    const key = `${event} ${each.kind === 'sample' ? each.tid : ''}`;
    if (each.kind === 'sample') counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

/** Calls `check` again and again until it is true. */
async function until(check: () => boolean): Promise<void> {
  while (!check()) await delay(50);
}

/** Both clock events, each in the main thread, two spinners and the child, with enough samples to have a hottest function. */
function allThreadsSampled(path: string): boolean {
  const counts = [...samplesByThread(path)].filter(([key, count]) => /^[02] /.test(key) && count >= 20);
  return counts.length === 2 * 4;
}

real(
  'all samples of an attached process, its threads and a later child have names, in perf and in our reader',
  async (t) => {
    const output = join(directory, 'attached.data');
    const child = await startReady(program, ['600', '2', 'fork-on-line']);
    const enough = new AbortController();
    try {
      const summary = await recordTo({
        events: 'cpu-clock:u,page-faults:u,task-clock:u',
        output,
        targets: [{ pid: child.pid }],
        interrupt: enough.signal,
        onBegin: () => {
          child.stdin.write('\n');
          void until(() => allThreadsSampled(output)).then(() => enough.abort());
        },
      });
      t.is(summary.end, 'interrupt');
      t.is(summary.lost, 0n);
      t.is(statSync(output).mode & 0o777, 0o600);
      readsWell(t, output, summary);
      if (perf) perfReadsWell(t, output);
    } finally {
      enough.abort();
      child.kill();
    }
  },
);

function readsWell(t: ExecutionContext, output: string, summary: RecordingSummary): void {
  using reader = new PerfDataReader(output);
  const profile = readProfile(reader);
  t.deepEqual(
    reader.events.map((event) => event.name),
    ['cpu-clock:u', 'page-faults:u', 'task-clock:u'],
  );
  t.is(BigInt(profile.samples), summary.samples);
  t.deepEqual(reader.info.commandLine, ['test', 'with argument']);
  for (const event of [0, 2]) {
    const [first] = hottestFunctions(profile, event);
    t.is(first?.name, 'hot_leaf');
    t.is(first?.object, 'spin');
  }
  const comms = new Set(profile.stacks.map((stack) => stack.comm));
  t.deepEqual([...comms].sort(), ['spin', 'spinner']);
  const named = profile.stacks.filter((stack) => stack.frames.some((frame) => frame.name === 'hot_leaf'));
  t.true(
    named.every((stack) => stack.frames.some((frame) => frame.name === 'outer')),
    'call chains reach the caller',
  );
}

function perfReadsWell(t: ExecutionContext, output: string): void {
  t.is(perfText(t, 'evlist', '-i', output).trim(), 'cpu-clock:u\npage-faults:u\ntask-clock:u');
  const columns = ['--stdio', '-g', 'none', '--no-children', '--sort', 'comm,dso,sym'];
  const report = perfText(t, 'report', ...columns, '-i', output);
  t.regex(report, /\d\d\.\d\d%\s+spinner\s+spin\s+\[\.\] hot_leaf/);
  t.regex(report, /spin\s+spin\s+\[\.\] hot_leaf/);
  const script = perfText(t, 'script', '-F', 'comm,pid,event,ip,sym', '-i', output);
  t.regex(script, /hot_leaf\n\s+[0-9a-f]+ (inner|outer)/);
  const pids = new Set([...script.matchAll(/^\S+\s+(\d+)\s+\S+:u/gm)].map((match) => match[1]));
  t.is(pids.size, 2, 'parent and child');
}

real('a command is recorded from its exec to its end, and its exit code comes back', async (t) => {
  const output = join(directory, 'command.data');
  const workload = startGated([program, '1', '1']);
  const summary = await recordTo({ output, workload });
  t.is(summary.end, 'command');
  t.is(await workload.exited, 7);
  t.true(summary.samples > 0n);
  if (!perf) return;
  const report = perfText(t, 'report', '--stdio', '-g', 'none', '--no-children', '-i', output);
  t.regex(report, /hot_leaf/);
  t.notRegex(report, /unknown/);
});

real('folded stacks start with the thread name, end with the leaf, and count every sample', async (t) => {
  const [data, folded] = [join(directory, 'folded.data'), join(directory, 'out.folded')];
  const workload = startGated([program, '0.3', '1']);
  const summary = await recordTo({ output: data, workload });
  writeFolded(data, folded);
  const lines = readFileSync(folded, 'utf8').trimEnd().split('\n');
  t.true(
    lines.every((line) => /^[^ ;][^;]*(;[^;]+)* \d+$/.test(line)),
    lines.find((line) => !/ \d+$/.test(line)),
  );
  const counts = lines.map((line) => Number(line.slice(line.lastIndexOf(' ') + 1)));
  t.is(BigInt(counts.reduce((sum, count) => sum + count, 0)), summary.samples);
  t.true(
    lines.some((line) => /^spinner;.*thread_body;outer;(inner;)?hot_leaf \d+$/.test(line)),
    lines.join('\n'),
  );
  t.true(
    lines.some((line) => /^spin;.*main;outer;(inner;)?hot_leaf \d+$/.test(line)),
    lines.join('\n'),
  );
});

real('a recording ends by itself when the observed process does', async (t) => {
  const child = await startReady(program, ['0.3', '2']);
  const summary = await recordTo({ output: join(directory, 'end.data'), targets: [{ pid: child.pid }] });
  t.is(summary.end, 'targets');
});

real('an interrupt leaves a complete file', async (t) => {
  const output = join(directory, 'interrupted.data');
  const child = await startReady(program, ['600']);
  try {
    const interrupt = AbortSignal.timeout(200);
    const summary = await recordTo({ output, targets: [{ pid: child.pid }], interrupt });
    t.is(summary.end, 'interrupt');
    const reader = new PerfDataReader(output);
    t.true(reader.finished);
    t.is([...reader.records()].filter(({ record: each }) => each.kind === 'sample').length, Number(summary.samples));
    reader.close();
  } finally {
    child.kill();
  }
});

real('records lost in a small ring are reported by the summary and by the file', async (t) => {
  const output = join(directory, 'lost.data');
  const child = await startReady(program, ['600', '0', 'fault']);
  const enough = new AbortController();
  try {
    const summary = await recordTo({
      events: 'page-faults:u',
      period: 1n,
      output,
      targets: [{ pid: child.pid }],
      ringBytes: 4096,
      interrupt: enough.signal,
      onBegin: (stats) => {
        void until(() => stats().lost > 0n).then(() => enough.abort());
      },
    });
    t.true(summary.lost > 0n);
    const reader = new PerfDataReader(output);
    const lost = [...reader.records()].reduce(
      (sum, { record: each }) => sum + (each.kind === 'lost' ? each.lost : 0n),
      0n,
    );
    t.is(lost, summary.lost);
    reader.close();
  } finally {
    enough.abort();
    child.kill();
  }
});

real('a full disk ends the recording, and the file is complete to the last record', async (t) => {
  const mount = mkdtempSync(join(directory, 'full-'));
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=128k', 'none', mount]).status !== 0) {
    t.log('skipped: no tmpfs can be mounted here');
    t.true(native.clockNanoseconds(1) > 0n);
    return;
  }
  const child = await startReady(program, ['600', '2']);
  try {
    const output = join(mount, 'perf.data');
    const summary = await recordTo({ output, targets: [{ pid: child.pid }], frequency: 20_000 });
    t.is(summary.end, 'write-error');
    t.is(summary.error?.code, 'ENOSPC');
    const reader = new PerfDataReader(output);
    const samples = [...reader.records()].filter(({ record: each }) => each.kind === 'sample').length;
    t.true(samples > 100, `${samples} samples`);
    t.is(reader.events[0]?.name, 'cpu-clock:u', 'the attr names the event where its description found no room');
    reader.close();
    if (perf) t.regex(perfText(t, 'report', '--stdio', '-i', output), /hot_leaf/);
  } finally {
    child.kill();
    spawnSync('umount', [mount]);
  }
});

real('an older file is kept, a symbolic link is refused and nothing is left behind', async (t) => {
  const child = await startReady(program, ['600']);
  try {
    const output = join(directory, 'kept.data');
    writeFileSync(output, 'older');
    await recordTo({ output, targets: [{ pid: child.pid }], durationMs: 50 });
    t.is(readFileSync(`${output}.old`, 'utf8'), 'older');
    const link = join(directory, 'link.data');
    symlinkSync('/etc/passwd', link);
    const request = { output: link, targets: [{ pid: child.pid }], durationMs: 50 };
    await t.throwsAsync(recordTo(request), { instanceOf: OutputFileError, message: /symbolic link/ });
  } finally {
    child.kill();
  }
});
