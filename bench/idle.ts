/** (d) Cost of the daemon's processes while no request comes: resident memory and wake-ups. */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Daemon } from '../test/e2e/daemon.js';
import type { Programs } from './programs.js';
import { heading, line, verdict } from './report.js';
import { startBroker, startClient, startThreads } from './setting.js';

const GRANTS = 1000;
const IDLE_SECONDS = 10;
const LIMIT_MIB = { opener: 3, broker: 60 } as const;

/** VmRSS and Pss, MiB. */
function memory(pid: number): { rss: number; pss: number } {
  const field = (file: string, name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(`/proc/${pid}/${file}`, 'latin1'))?.[1]) / 1024;
  return { rss: field('status', 'VmRSS'), pss: field('smaps_rollup', 'Pss') };
}

/** Times that any thread of the process has gone to sleep: one more after each wake-up. */
function sleeps(pid: number): number {
  return readdirSync(`/proc/${pid}/task`)
    .map((tid) => readFileSync(`/proc/${pid}/task/${tid}/status`, 'latin1'))
    .reduce((sum, status) => sum + Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status)?.[1]), 0);
}

export async function idleBenchmark(programs: Programs): Promise<void> {
  heading('(d) memory and wake-ups');
  const daemon = await startBroker();
  try {
    await delay(2000); // node compiles and collects a little after start
    reportMemory('after start', daemon);
    await reportWakeups('after start', daemon);
    const target = await startThreads(programs, 1);
    const client = startClient(daemon.socket, target.pid);
    try {
      await client.times(GRANTS);
    } finally {
      await client.end();
      await target.end();
    }
    await delay(2000);
    reportMemory(`after ${GRANTS} grants`, daemon);
    await reportWakeups(`after ${GRANTS} grants`, daemon);
  } finally {
    await daemon.stop();
  }
}

function reportMemory(when: string, { parts }: Daemon): void {
  for (const [part, limit] of Object.entries(LIMIT_MIB)) {
    const { rss, pss } = memory(parts[part as keyof typeof LIMIT_MIB]);
    const text = `resident ${rss.toFixed(1)} MiB, its share of shared pages ${pss.toFixed(1)} MiB`;
    line(`${part}, ${when}`, text + verdict(rss <= limit, `at most ${limit}`));
  }
}

async function reportWakeups(when: string, { parts }: Daemon): Promise<void> {
  const before = Object.entries(parts).map(([part, pid]) => [part, pid, sleeps(pid)] as const);
  await delay(IDLE_SECONDS * 1000);
  const counts = before.map(([part, pid, count]) => ({ part, wakeups: sleeps(pid) - count }));
  line(
    `wake-ups in ${IDLE_SECONDS} idle seconds, ${when}`,
    counts.map(({ part, wakeups }) => `${part} ${wakeups}`).join(', ') +
      verdict(
        counts.every(({ wakeups }) => wakeups === 0),
        'none',
      ),
  );
}
