import test from 'ava';
import { runModule } from './support.js';

const SUPPORT = new URL('support.js', import.meta.url).href;

/** Runs `body` in a worker that never ends by itself, terminates it, eight times over; prints what stayed open. */
function terminated(body: string): ReturnType<typeof runModule> {
  const worker = `
    import { parentPort } from 'node:worker_threads';
    import { openSync } from 'node:fs';
    const { native } = await import(process.env.NATIVE_MODULE);
    const { openSoftware } = await import(${JSON.stringify(SUPPORT)});
    ${body}
    setInterval(() => {}, 1000);
    parentPort.postMessage('ready');`;
  return runModule(`
    import { Worker } from 'node:worker_threads';
    import { once } from 'node:events';
    import { readdirSync, readFileSync } from 'node:fs';
    process.env.NATIVE_MODULE = ${JSON.stringify(new URL('../../../dist/native.js', import.meta.url).href)};
    const source = new URL('data:text/javascript,' + encodeURIComponent(${JSON.stringify(worker)}));
    const threads = () => readdirSync('/proc/self/task').length;
    const rings = () => readFileSync('/proc/self/maps', 'utf8').split('\\n').filter((line) => line.includes('perf_event')).length;
    const drains = () => readdirSync('/proc/self/task').filter((tid) => readFileSync('/proc/self/task/' + tid + '/comm', 'utf8') === 'perf-drain\\n').length;
    for (let i = 0; i < 8; i++) {
      const worker = new Worker(source);
      worker.on('error', (error) => console.log('error', error));
      await once(worker, 'message');
      await worker.terminate();
    }
    console.log('rings', rings(), 'drains', drains());`);
}

const CLEAN = { code: 0, signal: null, output: 'rings 0 drains 0\n' };

test.serial('a worker with live pollers can be terminated', async (t) => {
  t.deepEqual(
    await terminated(`
      const pairs = Array.from({ length: 20 }, () => native.socketPair('stream'));
      for (const [near] of pairs) native.createPoller(near, () => {}).start(1);
      native.createPoller(pairs[0][1], () => {});
      native.createPoller(pairs[1][1], () => {}).close();
      native.createPoller(pairs[2][1], () => {}).start(2);`),
    CLEAN,
  );
});

test.serial('a worker with running, idle and never started drains can be terminated', async (t) => {
  t.deepEqual(
    await terminated(`
      const open = (period) => { const fd = openSoftware({ config: 0, period, wakeupEvents: 1 }, process.pid); native.perfEnable(fd); return fd; };
      const output = openSync('/dev/null', 'w');
      const busy = native.createDrain(output), idle = native.createDrain(output), unstarted = native.createDrain(output);
      const ended = native.createDrain(output);
      busy.addRing(open(50_000), 8);
      idle.addRing(openSoftware({ config: 0, period: 1_000_000 }, process.pid), 8);
      unstarted.addRing(open(50_000), 8);
      busy.start(() => {}); idle.start(() => {});
      ended.start(() => {}); ended.stop();
      native.createRing(open(1_000_000), 8);`),
    CLEAN,
  );
});

test.serial('a worker whose drain waits for a reader that never reads can be terminated', async (t) => {
  t.deepEqual(
    await terminated(`
      const [, far] = native.socketPair('stream');
      // Full, so that the first write waits.
      while (native.sendMessage(far, new Uint8Array(65_536), []) !== null);
      const fd = openSoftware({ config: 0, period: 50_000, wakeupEvents: 1 }, process.pid);
      const drain = native.createDrain(far);
      drain.addRing(fd, 8);
      drain.start(() => {});
      native.perfEnable(fd);
      const until = Date.now() + 20;
      while (Date.now() < until);
      drain.stop();`),
    CLEAN,
  );
});

test.serial('a process with live pollers and drains can exit at any time', async (t) => {
  const result = await runModule(`
    import { openSync } from 'node:fs';
    const { openSoftware } = await import(${JSON.stringify(SUPPORT)});
    const [near] = native.socketPair('stream');
    native.createPoller(near, () => {}).start(1);
    const fd = openSoftware({ config: 0, period: 50_000, wakeupEvents: 1 }, process.pid);
    const drain = native.createDrain(openSync('/dev/null', 'w'));
    drain.addRing(fd, 8);
    drain.start(() => {});
    native.perfEnable(fd);
    process.exit(7);`);
  t.deepEqual(result, { code: 7, signal: null, output: '' });
});
