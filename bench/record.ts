/** (c) `perfbroker record` against `perf record` on the same process: cpu time of the collector, samples, lost. */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Daemon } from '../test/e2e/daemon.js';
import type { Programs } from './programs.js';
import { heading, line, verdict } from './report.js';
import { userTree, USER } from './setting.js';
import { median, spread } from './statistics.js';

const PERF = '/usr/bin/perf';
const SHORT = 1;
const LONG = 5;

interface Workload {
  readonly name: string;
  readonly program: 'workload' | 'page_faults';
  readonly args: readonly string[];
  readonly options: readonly string[];
}

const WORKLOADS: readonly Workload[] = [
  { name: 'cpu-clock:u at 4,000 Hz', program: 'workload', args: [], options: ['-e', 'cpu-clock:u', '-F', '4000'] },
  {
    name: 'the same with call graphs',
    program: 'workload',
    args: [],
    options: ['-e', 'cpu-clock:u', '-F', '4000', '-g'],
  },
  {
    name: 'each of 100,000 page faults a second',
    program: 'page_faults',
    args: ['100000'],
    options: ['-e', 'page-faults:u', '-c', '1'],
  },
  {
    name: 'every page fault, unbounded',
    program: 'page_faults',
    args: ['0'],
    options: ['-e', 'page-faults:u', '-c', '1'],
  },
];

interface Run {
  /** User and system time of the collector and its children, ms. */
  readonly cpu: number;
  readonly samples: number;
  readonly lost: number;
}

interface Collector {
  readonly name: string;
  readonly uid: number;
  readonly command: (pid: number, options: readonly string[], seconds: number, output: string) => string[];
}

function collectors(): readonly Collector[] {
  const perf =
    (extra: readonly string[]) => (pid: number, options: readonly string[], seconds: number, output: string) => [
      PERF,
      'record',
      '-q',
      ...extra,
      ...options,
      '-o',
      output,
      '-p',
      String(pid),
      '--',
      'sleep',
      String(seconds),
    ];
  return [
    { name: 'perf record', uid: 0, command: perf([]) },
    { name: 'perf record -B -N', uid: 0, command: perf(['-B', '-N']) },
    {
      name: 'perfbroker record',
      uid: USER,
      command: (pid, options, seconds, output) => [
        ...[join(userTree(), 'dist/bin/perfbroker'), 'record', ...options],
        ...['-o', output, '-p', String(pid), '--duration', String(seconds)],
      ],
    },
  ];
}

export async function recordBenchmark(daemon: Daemon, programs: Programs, rounds: number): Promise<void> {
  heading('(c) perfbroker record against perf record: cpu time of the collector and its children');
  if (!existsSync(PERF)) {
    line('not measured', `there is no ${PERF}`);
    return;
  }
  for (const workload of WORKLOADS) await compare(workload, daemon, programs, rounds);
}

async function compare(workload: Workload, daemon: Daemon, programs: Programs, rounds: number): Promise<void> {
  const victim = spawn(programs.path(workload.program), workload.args, {
    uid: USER,
    gid: USER,
    cwd: '/',
    stdio: 'ignore',
  });
  const all = collectors();
  const short: Run[][] = all.map(() => []);
  const long: Run[][] = all.map(() => []);
  try {
    for (let round = 0; round < rounds; round++) {
      for (const [index, collector] of all.entries()) {
        short[index]!.push(await run(collector, workload, victim, SHORT, daemon, programs));
        long[index]!.push(await run(collector, workload, victim, LONG, daemon, programs));
      }
    }
  } finally {
    const closed = new Promise((resolve) => victim.once('close', resolve));
    victim.kill('SIGKILL');
    await closed;
  }
  console.log(`  ${workload.name}`);
  const perSecond = all.map((_, index) => runningCosts(short[index]!, long[index]!));
  for (const [index, { name }] of all.entries()) {
    const runs = long[index]!;
    const samples = runs.map((each) => each.samples);
    const lost = runs.map((each) => each.lost);
    line(
      `  ${name}`,
      `${spread(
        runs.map((each) => each.cpu),
        0,
      )} ms for ${LONG} s; ${spread(perSecond[index]!, 1)} ms for each second after the first; ` +
        `${median(samples)} samples, ${spread(lost, 0)} lost`,
    );
  }
  const total = (index: number): number => median(long[index]!.map((each) => each.cpu));
  const perSample = (index: number): number => median(long[index]!.map((each) => (each.cpu * 1e6) / each.samples));
  line(
    '  ours / perf, ours / perf -B -N',
    `total ${(total(2) / total(0)).toFixed(2)}, ${(total(2) / total(1)).toFixed(2)}; ` +
      `ns a sample ${perSample(2).toFixed(0)}, perf's ${perSample(0).toFixed(0)} and ${perSample(1).toFixed(0)}` +
      verdict(total(2) <= total(0), 'total at most perf record'),
  );
}

/** ms of cpu time a second, once running: what the longer run took more than the shorter of the same round. */
function runningCosts(short: readonly Run[], long: readonly Run[]): number[] {
  return long.map((each, round) => (each.cpu - short[round]!.cpu) / (LONG - SHORT));
}

async function run(
  collector: Collector,
  workload: Workload,
  victim: ChildProcess,
  seconds: number,
  daemon: Daemon,
  programs: Programs,
): Promise<Run> {
  const output = join(programs.directory, 'perf.data');
  const command = collector.command(victim.pid!, workload.options, seconds, output);
  const child = spawn(programs.path('cpu_time'), [String(collector.uid), ...command], {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', PERFBROKER_SOCKET: daemon.socket },
  });
  let [usage, errors] = ['', ''];
  child.stdio[3]!.on('data', (chunk: Buffer) => (usage += chunk.toString()));
  child.stderr!.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  await new Promise((resolve) => child.once('close', resolve));
  const { user, system, status } = JSON.parse(usage) as { user: number; system: number; status: number };
  if (status !== 0) throw new Error(`${command.join(' ')} ended with ${status}: ${errors}`);
  const counted = { cpu: (user + system) / 1000, ...countRecords(output) };
  rmSync(output, { force: true });
  rmSync(`${output}.old`, { force: true });
  return counted;
}

const PERF_RECORD_LOST = 2;
const PERF_RECORD_SAMPLE = 9;
const PERF_RECORD_LOST_SAMPLES = 13;

/**
 * Counts the samples and the lost records of a perf.data file, of perf or of perfbroker: its header names the data section,
 * and every record begins with type and size.
 */
function countRecords(file: string): { samples: number; lost: number } {
  const bytes = readFileSync(file);
  const start = Number(bytes.readBigUInt64LE(40));
  const end = start + Number(bytes.readBigUInt64LE(48));
  let [samples, lost] = [0, 0];
  for (let at = start; at < end; at += bytes.readUInt16LE(at + 6)) {
    const type = bytes.readUInt32LE(at);
    if (type === PERF_RECORD_SAMPLE) samples++;
    else if (type === PERF_RECORD_LOST) lost += Number(bytes.readBigUInt64LE(at + 16));
    else if (type === PERF_RECORD_LOST_SAMPLES) lost += Number(bytes.readBigUInt64LE(at + 8));
  }
  return { samples, lost };
}
