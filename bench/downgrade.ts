/** (e) How long a target stands still while capabilities are taken from it, by its number of threads; and 200 times in a storm. */
import { connect, type Client } from '#dist/client/index.js';
import { CAPABILITY_NAMES } from '#dist/model/identity/capabilities.js';
import { keepers, startTarget, startTracing, type Target } from '../test/downgrade/support.js';
import { compileTools } from '../test/tools/compile.js';
import type { Programs } from './programs.js';
import { heading, line, verdict } from './report.js';
import { median, spread } from './statistics.js';

const SLEEPERS = [1, 4, 16, 64, 256];
const STORMS = 200;
/** Taken one after the other, so that each time there is something to take. */
const DROPS = CAPABILITY_NAMES.slice(0, 20);

export async function downgradeBenchmark(programs: Programs, rounds: number): Promise<void> {
  heading('(e) stop times of a downgrade, from the first thread stopped to the last one going on');
  const daemon = await startTracing();
  const tools = compileTools('churn');
  const client = await connect({ socket: daemon.socket });
  try {
    for (const threads of SLEEPERS) {
      const times: number[] = [];
      for (let round = 0; round < rounds; round++) {
        const target = await startTarget(programs.path('threads'), String(threads));
        for (const drop of DROPS) times.push((await take(client, target, drop)).milliseconds);
        await target.end();
      }
      const goal = 1 + 0.3 * threads;
      line(
        `${threads} sleeping threads`,
        `${spread(times, 2)} ms${verdict(median(times) <= goal, `${goal.toFixed(1)} ms`)}`,
      );
    }
    await storm(client, tools.path('churn'));
  } finally {
    await client.close();
    await daemon.stop();
    tools.remove();
  }
}

/** A program that starts and ends threads without a pause: none may be left out, and none may notice. */
async function storm(client: Client, program: string): Promise<void> {
  const times: number[] = [];
  const perThread: number[] = [];
  let failures = 0;
  let leftOut = 0;
  for (let done = 0; done < STORMS; done += DROPS.length) {
    const target = await startTarget(program);
    for (const drop of DROPS) {
      try {
        const { milliseconds, threads } = await take(client, target, drop);
        times.push(milliseconds);
        perThread.push(milliseconds / threads);
      } catch (error) {
        failures += 1;
        console.error((error as Error).message);
      }
      leftOut += keepers(target.pid, 1n << BigInt(CAPABILITY_NAMES.indexOf(drop))).length;
    }
    if ((await target.end()).code !== 0) failures += 1;
  }
  line('8 threads that start and end others', `${spread(times, 2)} ms, ${median(perThread).toFixed(2)} ms a thread`);
  line(
    `${STORMS} of these`,
    `${failures} failures, ${leftOut} threads left out${verdict(failures + leftOut === 0, 'none of either')}`,
  );
}

async function take(
  client: Client,
  target: Target,
  drop: string,
): Promise<{ readonly milliseconds: number; readonly threads: number }> {
  const [process] = await client.downgrade({ target: { pid: target.pid }, drop: [drop], deadlineMs: 2000 });
  return { milliseconds: process!.stoppedMicroseconds / 1000, threads: process!.threads.length };
}
