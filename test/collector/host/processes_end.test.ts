import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { whenProcessesEnd } from '#dist/collector/host/processes_end.js';

test('waiting ends when all processes have ended, including those already gone', async (t) => {
  const gone = spawn('true');
  await once(gone, 'exit');
  const [short, long] = [spawn('sleep', ['0.05']), spawn('sleep', ['30'])];
  const { ended, dispose } = whenProcessesEnd([gone.pid, short.pid, long.pid].map(Number));
  try {
    await once(short, 'exit');
    t.is(await Promise.race([ended.then(() => 'ended'), delay(50, 'waiting')]), 'waiting');
    long.kill();
    await ended;
    t.not(long.pid, undefined);
  } finally {
    long.kill();
    dispose();
  }
});
