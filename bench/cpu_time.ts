/** Cpu time of a request, for each process. */
import { readdirSync, readFileSync } from 'node:fs';
import type { Daemon } from '../test/e2e/daemon.js';
import { line } from './report.js';
import type { Worker } from './worker.js';

/** Nanoseconds that all threads of the process have run: the first field of schedstat (Documentation/scheduler/sched-stats.rst). */
function cpuTime(pid: number): number {
  return readdirSync(`/proc/${pid}/task`)
    .map((tid) => Number(readFileSync(`/proc/${pid}/task/${tid}/schedstat`, 'latin1').split(' ')[0]))
    .reduce((sum, time) => sum + time, 0);
}

/** Cpu time of a process and its children, nanoseconds. That of children that have ended comes in ticks of 10 ms (proc_pid_stat(5)). */
function cpuTimeOfAll(pid: number): number {
  const ended = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ').slice(13, 15).map(Number) ?? [];
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ').filter(Boolean).map(Number);
  const alive = [pid, ...children].map(cpuTime);
  return alive.reduce((sum, time) => sum + time, 0) + ended.reduce((sum, ticks) => sum + ticks * 1e7, 0);
}

/** Prints what each part of the path ran for one request, its end (revoke, close) included. */
export async function reportCpuTime(daemon: Daemon, client: Worker, requests: number): Promise<void> {
  const pids = { client: client.pid, broker: daemon.parts.broker, opener: daemon.parts.opener };
  const before = Object.entries(pids).map(([part, pid]) => ({ part, pid, start: cpuTimeOfAll(pid) }));
  await client.times(requests);
  const used = before.map(
    ({ part, pid, start }) => `${part} ${((cpuTimeOfAll(pid) - start) / 1000 / requests).toFixed(0)} us`,
  );
  line('  cpu time of each, the end of the grant included', used.join(', '));
}
