/** (e) `perfbroker run -- true` against `perf record -- true` and against a bare `true`: how long the caller waits. */
import { spawn } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Daemon } from '../test/e2e/daemon.js';
import type { Programs } from './programs.js';
import { heading, line, verdict } from './report.js';
import { USER, userTree } from './setting.js';
import { median, spread, type Pair, ratios } from './statistics.js';

const PERF = '/usr/bin/perf';
const EVENT = ['-e', 'cpu-clock:u', '-F', '999'];

interface Contender {
  readonly name: string;
  readonly uid: number;
  readonly socket: string;
  readonly command: (output: string) => readonly string[];
}

/** ms from the start: to the exit of the process that was started, and until standard error ended, the file complete. */
interface Run {
  readonly exit: number;
  readonly complete: number;
}

export async function runBenchmark(daemon: Daemon, programs: Programs, rounds: number): Promise<void> {
  heading('(e) time from start to exit of a command that does nothing, ms');
  const nowhere = join(programs.directory, 'no.sock');
  const perfbroker = (output: string): string[] => [
    ...[join(userTree(), 'dist/bin/perfbroker'), 'run', '--require', ...EVENT, '-o', output],
    ...['--', '/bin/true'],
  ];
  const perf = (...options: string[]): Contender => ({
    name: ['perf record', ...options].join(' '),
    uid: 0,
    socket: nowhere,
    command: (output) => [PERF, 'record', '-q', ...options, ...EVENT, '-o', output, '--', '/bin/true'],
  });
  const contenders: Contender[] = [
    { name: 'true', uid: 0, socket: nowhere, command: () => ['/bin/true'] },
    { name: 'perfbroker run, as a user, by the broker', uid: USER, socket: daemon.socket, command: perfbroker },
    { name: 'perfbroker run, as root, without a broker', uid: 0, socket: nowhere, command: perfbroker },
    // Root's perf has a thread that looks for BPF programs and is waited for at the end, up to a second.
    ...(existsSync(PERF) ? [perf(), perf('--no-bpf-event')] : []),
  ];
  const runs: Run[][] = contenders.map(() => []);
  for (let round = 0; round < rounds; round++)
    for (const [index, contender] of contenders.entries()) runs[index]!.push(await time(contender, programs));
  for (const [index, { name }] of contenders.entries()) {
    const [exits, completes] = [runs[index]!.map((run) => run.exit), runs[index]!.map((run) => run.complete)];
    line(name, `${spread(exits, 0)}; file complete after ${spread(completes, 0)}`);
  }
  for (const baseline of [3, 4]) {
    const theirs = contenders[baseline];
    if (theirs === undefined) continue;
    for (const ours of [1, 2]) {
      const pairs = (what: keyof Run): Pair[] =>
        runs[ours]!.map((run, round) => ({ baseline: runs[baseline]![round]![what], ours: run[what] }));
      const found = ratios(pairs('exit'));
      line(
        `  ${ours === 1 ? 'by the broker' : 'without'} / ${theirs.name}`,
        `${spread(found, 2)}; to the complete file ${spread(ratios(pairs('complete')), 2)}` +
          verdict(median(found) <= 1, 'at most 1'),
      );
    }
  }
}

async function time({ uid, socket, command }: Contender, programs: Programs): Promise<Run> {
  const output = join(programs.directory, `run-${uid}.data`);
  const [file = '', ...args] = command(output);
  const start = process.hrtime.bigint();
  const elapsed = (): number => Number(process.hrtime.bigint() - start) / 1e6;
  const child = spawn(file, args, {
    ...(uid === 0 ? {} : { uid, gid: uid }),
    cwd: '/',
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', PERFBROKER_SOCKET: socket },
  });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  let exit = 0;
  child.once('exit', () => (exit = elapsed()));
  const code = await new Promise((resolve) => child.once('close', resolve));
  const complete = elapsed();
  if (code !== 0) throw new Error(`${file} ${args.join(' ')} ended with ${String(code)}: ${errors}`);
  for (const path of [output, `${output}.old`]) rmSync(path, { force: true });
  return { exit, complete };
}
