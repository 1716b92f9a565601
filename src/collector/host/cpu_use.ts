/** CPU time of a process between two moments, from /proc: every user may read these files, unless hidepid hides them. */
import { readFileSync, readdirSync } from 'node:fs';

/** A process whose CPU time is measured. */
export interface CpuUser {
  readonly pid: number;
  /** Absent: all threads. */
  readonly tid?: number;
}

export interface CpuUse extends CpuUser {
  /** Since the first moment; undefined when it is not known: a thread has ended, or the kernel counts no schedstat. */
  readonly ms: number | undefined;
  /** True when every thread is stopped now. */
  readonly stopped: boolean;
  /** Cpus that the threads last ran on. */
  readonly cpus: readonly number[];
}

/** Starts measuring. @returns a function that returns the use since now; it leaves out processes that have ended */
export function measureCpuUse(users: readonly CpuUser[], proc = '/proc'): () => readonly CpuUse[] {
  const before = users.map((user) => threadsOf(user, proc));
  return () =>
    users.flatMap((user, index) => {
      const now = threadsOf(user, proc);
      return now.size === 0 ? [] : [{ ...user, ...useOf(before[index] ?? new Map(), now) }];
    });
}

interface Thread {
  readonly nanoseconds: number | undefined;
  readonly state: string;
  readonly cpu: number;
}

type Threads = ReadonlyMap<number, Thread>;

function useOf(before: Threads, now: Threads): Pick<CpuUse, 'ms' | 'stopped' | 'cpus'> {
  const threads = [...now];
  let ms: number | undefined = [...before.keys()].every((tid) => now.has(tid)) ? 0 : undefined;
  for (const [tid, { nanoseconds }] of threads) {
    const started = before.has(tid) ? before.get(tid)?.nanoseconds : 0;
    ms =
      ms === undefined || nanoseconds === undefined || started === undefined
        ? undefined
        : ms + (nanoseconds - started) / 1e6;
  }
  return {
    ms,
    // `t`: stopped by a debugger (proc_pid_stat(5)).
    stopped: threads.every(([, { state }]) => state === 'T' || state === 't'),
    cpus: [...new Set(threads.map(([, { cpu }]) => cpu))].sort((a, b) => a - b),
  };
}

function threadsOf({ pid, tid }: CpuUser, proc: string): Threads {
  const threads = new Map<number, Thread>();
  for (const each of tid === undefined ? threadIds(`${proc}/${pid}/task`) : [tid]) {
    const thread = readThread(`${proc}/${pid}/task/${each}`);
    if (thread !== undefined) threads.set(each, thread);
  }
  return threads;
}

function threadIds(directory: string): readonly number[] {
  try {
    return readdirSync(directory).map(Number);
  } catch {
    return [];
  }
}

/** @returns undefined for a thread that has ended */
function readThread(directory: string): Thread | undefined {
  const stat = textOf(`${directory}/stat`);
  if (stat === undefined) return undefined;
  // The name in field 2 may hold spaces and brackets: count from the last one. Field 3 is the state, field 39 the cpu.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const state = fields[0] ?? '';
  if (state === 'Z' || state === 'X') return undefined;
  const ran = textOf(`${directory}/schedstat`)?.split(' ')[0];
  // Without CONFIG_SCHED_INFO the file has three zeros.
  const nanoseconds = ran === undefined || !(Number(ran) > 0) ? undefined : Number(ran);
  return { nanoseconds, state, cpu: Number(fields[36]) };
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
