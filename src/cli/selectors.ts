import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { cgroupPath } from '../collector/host/cgroups.js';
import type { CollectorTarget } from '../collector/event_opener.js';
import { parseCpuList } from '../common/cpus.js';
import { parsePids } from './arguments.js';
import { UsageError } from './failure.js';

/** Options that select the targets. */
export interface SelectorOptions {
  readonly pid?: string;
  readonly tid?: string;
  readonly allCpus?: true;
  readonly cpu?: string;
  readonly cgroup?: string;
}

export function addSelectors(command: Command): Command {
  return command
    .option('-p, --pid <PID,...>', 'observe these processes, with all their threads and later children')
    .option('-t, --tid <TID,...>', 'observe only these threads')
    .option('-a, --all-cpus', 'observe all processes on all cpus (system-wide)')
    .option('-C, --cpu <CPUS>', 'observe only these cpus, such as 0-3,8')
    .option('--cgroup <PATH>', 'observe a cgroup, given as a directory or as in /proc/PID/cgroup');
}

export interface Selection {
  /** Empty when no option selects any: the command itself is observed. */
  readonly targets: readonly CollectorTarget[];
  /** True for processes, whose later children are observed; false for threads, cgroups and cpus. */
  readonly inherit: boolean;
  /** From -C; not yet compared with the cpus that are online. */
  readonly cpus?: readonly number[];
}

/** @throws UsageError when options contradict each other. */
export function selectionOf(options: SelectorOptions): Selection {
  const given = [options.pid, options.tid, options.allCpus, options.cgroup].filter((option) => option !== undefined);
  if (given.length > 1) throw new UsageError('--pid, --tid, --all-cpus and --cgroup exclude each other');
  const cpus = options.cpu === undefined ? undefined : cpusOf(options.cpu);
  const withCpus = cpus === undefined ? {} : { cpus };
  if (options.pid !== undefined)
    return { targets: parsePids(options.pid).map((pid) => ({ pid })), inherit: true, ...withCpus };
  if (options.tid !== undefined)
    return {
      targets: parsePids(options.tid).map((tid) => ({ pid: processOf(tid), tid })),
      inherit: false,
      ...withCpus,
    };
  if (options.cgroup !== undefined)
    return { targets: [{ cgroup: cgroupPath(options.cgroup) }], inherit: false, ...withCpus };
  // As in perf, -C alone selects all processes on these cpus.
  const system = options.allCpus === true || cpus !== undefined;
  return { targets: system ? [{ system: true }] : [], inherit: !system, ...withCpus };
}

function cpusOf(text: string): readonly number[] {
  try {
    return parseCpuList(text);
  } catch (error) {
    throw new UsageError(`--cpu: ${(error as Error).message}`);
  }
}

function processOf(tid: number): number {
  try {
    const status = readFileSync(`/proc/${tid}/status`, 'utf8');
    return Number(/^Tgid:\t(\d+)$/m.exec(status)?.[1] ?? tid);
  } catch {
    // The process is gone or hidden: the broker's error reports which.
    return tid;
  }
}
