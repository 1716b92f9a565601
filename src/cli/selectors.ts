import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { cgroupPath } from '../collector/host/cgroups.js';
import type { CollectorTarget } from '../collector/event_opener.js';
import { onlineCpus, parseCpuList } from '../common/cpus.js';
import { parsePids } from './arguments.js';
import { UsageError } from './failure.js';

/** Options that say what is observed. */
export interface SelectorOptions {
  readonly pid?: string;
  readonly tid?: string;
  readonly allCpus?: true;
  readonly cpu?: string;
  readonly cgroup?: string;
}

export function addSelectors(command: Command): Command {
  return command
    .option('-p, --pid <PID,...>', 'observe these processes, all their threads and what they start')
    .option('-t, --tid <TID,...>', 'observe these threads alone')
    .option('-a, --all-cpus', 'observe everything on every cpu (system-wide)')
    .option('-C, --cpu <CPUS>', 'only on these cpus, e.g. 0-3,8')
    .option('--cgroup <PATH>', 'observe a cgroup: its directory, or a path as in /proc/PID/cgroup');
}

export interface Selection {
  /** Empty when nothing was selected: the command's own process is what is meant then. */
  readonly targets: readonly CollectorTarget[];
  /** Processes whose children are followed; not threads, cgroups and whole cpus. */
  readonly inherit: boolean;
  /** As -C says; absent without it. */
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
  // As with perf, -C alone means everything on these cpus.
  const system = options.allCpus === true || cpus !== undefined;
  return { targets: system ? [{ system: true }] : [], inherit: !system, ...withCpus };
}

function cpusOf(text: string): readonly number[] {
  let cpus: readonly number[];
  try {
    cpus = parseCpuList(text);
  } catch (error) {
    throw new UsageError(`--cpu: ${(error as Error).message}`);
  }
  const online = onlineCpus();
  const absent = cpus.filter((cpu) => !online.includes(cpu));
  if (absent.length > 0) throw new UsageError(`--cpu: ${absent.join(',')} not online`);
  return cpus;
}

function processOf(tid: number): number {
  try {
    const status = readFileSync(`/proc/${tid}/status`, 'utf8');
    return Number(/^Tgid:\t(\d+)$/m.exec(status)?.[1] ?? tid);
  } catch {
    // Gone, or hidden: the broker's answer says it better.
    return tid;
  }
}
