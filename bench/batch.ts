/** (b) Many fds in one request, against a C loop of perf_event_open on the same threads. */
import type { Daemon } from '../test/e2e/daemon.js';
import { reportCpuTime } from './cpu_time.js';
import type { Programs } from './programs.js';
import { heading, ratioLine } from './report.js';
import { attrDigits, sampledEvent, startClient, startThreads } from './setting.js';
import { median, type Pair } from './statistics.js';
import { Worker } from './worker.js';

interface Shape {
  readonly threads: number;
  readonly cpus: number;
  readonly events: number;
}

const SHAPES: readonly Shape[] = [
  { threads: 1, cpus: 2, events: 16 },
  { threads: 32, cpus: 2, events: 1 },
  { threads: 256, cpus: 2, events: 1 },
];

export async function batchBenchmark(daemon: Daemon, programs: Programs, rounds: number): Promise<void> {
  heading('(b) many fds in one request, against a C loop of perf_event_open');
  for (const shape of SHAPES) await compare(daemon, programs, shape, rounds);
}

async function compare(
  daemon: Daemon,
  programs: Programs,
  { threads, cpus, events }: Shape,
  rounds: number,
): Promise<void> {
  const fds = threads * cpus * events;
  const perRound = fds > 100 ? 10 : 40;
  const target = await startThreads(programs, threads);
  const loop = [String(target.pid), String(cpus), String(events), attrDigits(sampledEvent())];
  const baseline = new Worker(programs.path('open_loop'), loop);
  const ours = startClient(daemon.socket, target.pid, cpus, events);
  try {
    await baseline.times(perRound);
    for (let warm = 0; warm < 3; warm++) await ours.times(perRound);
    const pairs: Pair[] = [];
    for (let round = 0; round < rounds; round++) {
      const c = median(await baseline.times(perRound)) / 1000;
      pairs.push({ baseline: c, ours: median(await ours.times(perRound)) / 1000 });
    }
    const name = `${fds} fds: ${threads} threads x ${cpus} cpus x ${events} events`;
    ratioLine(name, pairs, 'us', events > 1 ? undefined : 1.5);
    await reportCpuTime(daemon, ours, 3 * perRound);
  } finally {
    for (const worker of [ours, baseline, target]) await worker.end();
  }
}
