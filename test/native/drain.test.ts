import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
// Serial: some tests keep the cpu to themselves, and some compare the process's open fds.
import test, { type ExecutionContext } from 'ava';
import { native, READABLE, type Drain, type DrainStats, type Fd, type NativeError } from '#dist/native.js';
import { countType, FINISHED_ROUND, lostIn, RECORD_EXIT, RECORD_SAMPLE, recordStream } from './record_stream.js';
import {
  burn,
  closeLater,
  CPU_CLOCK,
  FORMAT_LOST,
  NATIVE_URL,
  openFds,
  openSoftware,
  release,
  runModule,
  temporaryDirectory,
  waitingShell,
} from './support.js';

const mayOpenOthers = process.getuid?.() === 0 ? test.serial : test.skip;
if (process.getuid?.() !== 0) console.log('skipped: draining events of other users needs root');

/** attr.task: FORK and EXIT records. */
const TASK = 1n << 13n;
const BUSY = 'i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done';

function outputFile(t: ExecutionContext): { readonly fd: Fd; readonly read: () => Buffer } {
  const path = join(temporaryDirectory(t), 'records');
  const fd = openSync(path, 'w');
  closeLater(t, fd);
  return { fd, read: () => readFileSync(path) };
}

/** Stopped at the end of the test at the latest: a running one would keep the process alive. */
function createDrain(t: ExecutionContext, fd: Fd): Drain {
  const drain = native.createDrain(fd);
  t.teardown(() => {
    drain.stop();
  });
  return drain;
}

function ended(drain: Drain): Promise<{ readonly error: NativeError | null; readonly stats: DrainStats }> {
  return new Promise((resolve) => {
    drain.start((error, stats) => {
      resolve({ error, stats });
    });
  });
}

/** value, then lost (PERF_FORMAT_LOST). */
function kernelLost(fd: Fd): bigint {
  return native.perfRead(fd)[1] ?? -1n;
}

test.serial(
  'a busy child: every sample that the kernel did not lose is in the file, and its end ends the drain',
  async (t) => {
    const child = waitingShell(t, BUSY);
    const fd = openSoftware({ config: CPU_CLOCK, period: 50_000, readFormat: FORMAT_LOST, bits: TASK }, child.pid);
    closeLater(t, fd);
    const output = outputFile(t);
    const drain = createDrain(t, output.fd);
    t.is(drain.addRing(fd, 64), 0);
    const end = ended(drain);
    native.perfEnable(fd);
    release(child);
    const { error, stats } = await end;
    t.is(error, null);
    drain.close();
    const bytes = output.read();
    const records = recordStream(bytes);
    t.true(stats.samples > 100n, `${stats.samples} samples`);
    t.is(BigInt(countType(records, RECORD_SAMPLE)), stats.samples);
    t.is(BigInt(bytes.length), stats.bytes);
    t.is(BigInt(records.length - countType(records, FINISHED_ROUND)), stats.records);
    t.is(countType(records, RECORD_EXIT), 1, 'the last record of the last event was drained');
    t.is(kernelLost(fd), 0n);
    t.is(stats.lost, 0n);
    t.is(stats.liveRings, 0);
    t.is(records.at(-1)?.type, FINISHED_ROUND);
    t.deepEqual(drain.stats(), stats, 'the figures stay after close');
  },
);

test.serial(
  'a ring of one page wraps again and again and the stream stays whole; lost records are counted',
  async (t) => {
    const child = waitingShell(t, 'while :; do :; done');
    const fd = openSoftware(
      { config: CPU_CLOCK, period: 40_000, readFormat: FORMAT_LOST, wakeupBytes: 1024 },
      child.pid,
    );
    closeLater(t, fd);
    const output = outputFile(t);
    const drain = createDrain(t, output.fd);
    drain.addRing(fd, 1);
    const end = ended(drain);
    native.perfEnable(fd);
    release(child);
    for (let tries = 0; tries < 5000 && drain.stats().bytes <= 40_960n; tries++) await sleep(20);
    child.kill('SIGKILL');
    const { error, stats } = await end;
    t.is(error, null);
    drain.close();
    const bytes = output.read();
    const records = recordStream(bytes);
    t.true(stats.bytes > 40_960n, `${stats.bytes} bytes through 4096`);
    t.is(BigInt(countType(records, RECORD_SAMPLE)), stats.samples);
    t.is(lostIn(bytes, records), stats.lost);
    // The LOST record for the very last losses comes with the next sample, which there may not be.
    t.true(kernelLost(fd) >= stats.lost, `${kernelLost(fd)} of the kernel, ${stats.lost} of the records`);
  },
);

test.serial('with the output blocked, samples are lost and the LOST records say how many', async (t) => {
  const [near, far] = native.socketPair('stream');
  closeLater(t, near);
  const fd = openSoftware(
    { config: CPU_CLOCK, period: 20_000, readFormat: FORMAT_LOST, wakeupBytes: 1024 },
    process.pid,
  );
  closeLater(t, fd);
  const drain = createDrain(t, far);
  native.close(far); // the drain has its own
  drain.addRing(fd, 1);
  const end = ended(drain);
  native.perfEnable(fd);
  // No process reads: the socket's buffer fills, then the ring.
  const deadline = Date.now() + 90_000;
  while (kernelLost(fd) === 0n && Date.now() < deadline);
  t.true(kernelLost(fd) > 0n);
  const chunks: Buffer[] = [];
  const into = new Uint8Array(65_536);
  const poller = native.createPoller(near, () => {
    const message = native.receiveMessage(near, into);
    if (message !== null) chunks.push(Buffer.from(into.subarray(0, message.bytes)));
  });
  poller.start(READABLE);
  await sleep(50);
  // Samples after the gap, so that its LOST record is written.
  while (drain.stats().lost === 0n && Date.now() < deadline) {
    burn(5);
    await sleep(1);
  }
  native.perfDisable(fd);
  drain.stop();
  const { error, stats } = await end;
  drain.close();
  const received = (): bigint => BigInt(chunks.reduce((sum, { length }) => sum + length, 0));
  while (received() < stats.bytes && Date.now() < deadline) await sleep(5);
  poller.close();
  t.is(error, null);
  const bytes = Buffer.concat(chunks);
  const records = recordStream(bytes);
  t.is(BigInt(bytes.length), stats.bytes);
  t.true(stats.lost > 0n);
  t.is(lostIn(bytes, records), stats.lost);
  t.is(BigInt(countType(records, RECORD_SAMPLE)), stats.samples);
  t.true(kernelLost(fd) >= stats.lost);
});

test.serial('stop also drains records below the watermark', async (t) => {
  const fd = openSoftware({ config: CPU_CLOCK, period: 200_000 }, process.pid);
  closeLater(t, fd);
  const output = outputFile(t);
  const drain = createDrain(t, output.fd);
  drain.addRing(fd, 64);
  const end = ended(drain);
  native.perfEnable(fd);
  burn(50);
  native.perfDisable(fd);
  drain.stop();
  drain.stop();
  const { error, stats } = await end;
  drain.stop();
  t.is(error, null);
  t.true(stats.samples > 10n, `${stats.samples} samples`);
  t.true(stats.wakeups <= 2n, 'nothing woke it but the two calls of stop');
  t.is(recordStream(output.read()).at(-1)?.type, FINISHED_ROUND);
  drain.close();
  drain.close();
});

test.serial('records in a ring from before it was added to a drain are not lost', async (t) => {
  const fd = openSoftware({ config: CPU_CLOCK, period: 100_000, wakeupEvents: 1 }, process.pid);
  closeLater(t, fd);
  const output = outputFile(t);
  const first = native.createRing(fd, 8);
  native.perfEnable(fd);
  burn(20);
  native.perfDisable(fd);
  const drain = createDrain(t, output.fd);
  drain.addRing(fd, 8);
  first.close();
  const end = ended(drain);
  await sleep(50);
  t.true(drain.stats().samples > 10n, `${drain.stats().samples} samples`);
  drain.stop();
  await end;
  drain.close();
});

test.serial('several events of several tasks in shared rings: the drain ends when the last of them has', async (t) => {
  const output = outputFile(t);
  const drain = createDrain(t, output.fd);
  const children = [waitingShell(t, BUSY), waitingShell(t, BUSY), waitingShell(t, 'sleep 0.1')];
  const cpus = availableParallelism();
  const fds: Fd[] = [];
  for (let cpu = 0; cpu < cpus; cpu++) {
    let ring: number | undefined;
    for (const child of children) {
      const fd = openSoftware({ config: CPU_CLOCK, period: 200_000, bits: TASK }, child.pid, cpu);
      fds.push(fd);
      if (ring === undefined) ring = drain.addRing(fd, 16);
      else drain.addEvent(fd, ring);
    }
  }
  closeLater(t, ...fds);
  t.is(drain.stats().liveRings, cpus);
  const end = ended(drain);
  for (const fd of fds) native.perfEnable(fd);
  for (const child of children) release(child);
  const { error, stats } = await end;
  t.is(error, null);
  t.is(stats.liveRings, 0);
  for (const child of children) if (child.exitCode === null) await once(child, 'exit');
  const bytes = output.read();
  const records = recordStream(bytes);
  t.is(BigInt(countType(records, RECORD_SAMPLE)), stats.samples);
  // PERF_SAMPLE_TID follows the ip: samples of both busy children are there.
  const pids = new Set(
    records.filter((record) => record.type === RECORD_SAMPLE).map((record) => bytes.readUInt32LE(record.offset + 16)),
  );
  t.true(pids.has(children[0]?.pid ?? 0) && pids.has(children[1]?.pid ?? 0));
  drain.close();
});

test.serial('a drain whose events are silent does not wake up', async (t) => {
  const child = waitingShell(t, 'true');
  const fd = openSoftware({ config: CPU_CLOCK, period: 1_000_000 }, child.pid);
  closeLater(t, fd);
  const output = outputFile(t);
  const drain = createDrain(t, output.fd);
  drain.addRing(fd, 8);
  native.perfEnable(fd);
  const end = ended(drain);
  await sleep(300);
  t.is(drain.stats().wakeups, 0n);
  drain.stop();
  t.is((await end).stats.wakeups, 1n, 'stop alone woke it');
  drain.close();
});

test.serial('records that stay below the watermark are written while the drain continues', async (t) => {
  const fd = openSoftware({ config: CPU_CLOCK, period: 1_000_000 }, process.pid);
  closeLater(t, fd);
  const output = outputFile(t);
  const drain = createDrain(t, output.fd);
  drain.addRing(fd, 64);
  native.perfEnable(fd);
  const end = ended(drain);
  burn(20);
  native.perfDisable(fd);
  for (let tries = 0; tries < 500 && drain.stats().samples === 0n; tries++) await sleep(20);
  t.true(drain.stats().samples > 0n);
  t.true(recordStream(output.read()).length > 0);
  drain.stop();
  await end;
  drain.close();
});

test.serial('a full disk ends the drain with ENOSPC', async (t) => {
  const full = openSync('/dev/full', 'w');
  closeLater(t, full);
  const fd = openSoftware({ config: CPU_CLOCK, period: 100_000, wakeupEvents: 1 }, process.pid);
  closeLater(t, fd);
  const drain = createDrain(t, full);
  drain.addRing(fd, 8);
  const end = ended(drain);
  native.perfEnable(fd);
  burn(20);
  const { error, stats } = await end;
  native.perfDisable(fd);
  t.like(error, { code: 'ENOSPC', errno: 28, syscall: 'write' });
  t.true(error instanceof Error);
  t.is(stats.bytes, 0n);
  t.is(stats.samples, 0n, 'what was not written is not counted');
  drain.close();
});

test.serial('a ring with an impossible head ends the drain with EBADMSG', async (t) => {
  // Written backwards, from the end: its head falls.
  const WRITE_BACKWARD = 1n << 27n;
  const fd = openSoftware({ config: CPU_CLOCK, period: 100_000, wakeupEvents: 1, bits: WRITE_BACKWARD }, process.pid);
  closeLater(t, fd);
  const output = outputFile(t);
  const drain = createDrain(t, output.fd);
  drain.addRing(fd, 8);
  const end = ended(drain);
  native.perfEnable(fd);
  burn(20);
  native.perfDisable(fd);
  const { error, stats } = await end;
  t.like(error, { code: 'EBADMSG' });
  t.is(stats.bytes, 0n);
  drain.close();
});

test.serial('a reader that goes away is EPIPE, not a signal', async (t) => {
  const [near, far] = native.socketPair('stream');
  closeLater(t, far);
  native.close(near);
  const fd = openSoftware({ config: CPU_CLOCK, period: 100_000, wakeupEvents: 1 }, process.pid);
  closeLater(t, fd);
  const drain = createDrain(t, far);
  drain.addRing(fd, 8);
  const end = ended(drain);
  native.perfEnable(fd);
  burn(20);
  t.like((await end).error, { code: 'EPIPE' });
  drain.close();
});

/** A pipe holds no more. */
const PIPE_BYTES = 65_536n;

test.serial('a pipe that is read slowly loses no drained byte', async (t) => {
  const fd = openSoftware({ config: CPU_CLOCK, period: 20_000, readFormat: FORMAT_LOST }, process.pid);
  closeLater(t, fd);
  const output = outputFile(t);
  // A real pipe: the standard input of a child.
  const child = spawn('sh', ['-c', 'sleep 0.3; exec cat'], { stdio: ['pipe', output.fd, 'inherit'] });
  const pipe = (child.stdin as unknown as { readonly _handle: { readonly fd: number } })._handle.fd;
  const drain = createDrain(t, pipe);
  drain.addRing(fd, 128);
  const end = ended(drain);
  native.perfEnable(fd);
  burn(100);
  // How many samples that gives depends on the machine's timers.
  while (drain.stats().bytes <= PIPE_BYTES) {
    burn(10);
    await sleep(1);
  }
  native.perfDisable(fd);
  drain.stop();
  const { error, stats } = await end;
  drain.close();
  child.stdin?.end();
  await once(child, 'exit');
  t.is(error, null);
  const bytes = output.read();
  t.is(BigInt(bytes.length), stats.bytes);
  t.is(BigInt(countType(recordStream(bytes), RECORD_SAMPLE)), stats.samples);
});

test.serial('a drain is changed only before its start and closed only after its end', async (t) => {
  const before = openFds();
  const fd = openSoftware({ config: CPU_CLOCK, period: 1_000_000 }, process.pid);
  const null_ = openSync('/dev/null', 'w');
  const drain = createDrain(t, null_);
  t.throws(
    () => {
      drain.addEvent(fd, 0);
    },
    { instanceOf: TypeError },
  );
  drain.addRing(fd, 2);
  t.throws(() => drain.addRing(fd, 3), { instanceOf: TypeError });
  t.throws(() => drain.addRing(fd, 4), { code: 'EINVAL', message: /mmap/ });
  t.throws(
    () => {
      drain.addEvent(0, 0);
    },
    { message: /ioctl/ },
  );
  for (const ring of [1, -1, 0.5, NaN])
    t.throws(
      () => {
        drain.addEvent(fd, ring);
      },
      { instanceOf: TypeError },
    );
  const end = ended(drain);
  t.throws(() => drain.addRing(fd, 2), { code: 'EBUSY' });
  t.throws(
    () => {
      drain.close();
    },
    { code: 'EBUSY' },
  );
  t.throws(
    () => {
      drain.start(() => undefined);
    },
    { code: 'EBUSY' },
  );
  drain.stop();
  await end;
  t.throws(
    () => {
      drain.start(() => undefined);
    },
    { code: 'EBUSY' },
  );
  drain.close();
  t.throws(() => drain.addRing(fd, 2), { code: 'EBADF' });
  native.close(fd);
  closeSync(null_);
  t.throws(() => native.createDrain(null_), { code: 'EBADF' });
  const readOnly = openSync('/dev/null', 'r');
  t.throws(() => native.createDrain(readOnly), { code: 'EBADF' });
  closeSync(readOnly);
  t.deepEqual(openFds(), before);
});

test.serial('a drain without rings ends at once, and a running one keeps the process alive', async (t) => {
  const output = outputFile(t);
  const drain = createDrain(t, output.fd);
  const { error, stats } = await ended(drain);
  t.is(error, null);
  t.is(stats.bytes, 0n);
  drain.close();
  const support = new URL('support.js', import.meta.url).href;
  const running = await runModule(`
    import { openSync } from 'node:fs';
    import { openSoftware } from ${JSON.stringify(support)};
    const drain = native.createDrain(openSync('/dev/null', 'w'));
    drain.addRing(openSoftware({ config: 0, period: 1000000 }, process.pid), 2);
    setTimeout(() => drain.stop(), 50).unref();
    drain.start((error) => console.log('end', error));`);
  t.deepEqual(running, { code: 0, signal: null, output: 'end null\n' });
});

mayOpenOthers('a collector without rights drains the event of another user that it was handed', async (t) => {
  const child = waitingShell(t, BUSY);
  const event = openSoftware({ config: CPU_CLOCK, period: 100_000, readFormat: FORMAT_LOST }, child.pid);
  const [near, far] = native.socketPair('stream');
  closeLater(t, near);
  native.sendMessage(near, new Uint8Array(1), [event]);
  native.close(event);
  // fd 3 is the socket; the output is a memory file of its own.
  const source = `
    import { native } from ${JSON.stringify(NATIVE_URL)};
    const [fd] = native.receiveMessage(3, new Uint8Array(1)).fds;
    const drain = native.createDrain(1);
    drain.addRing(fd, 16);
    drain.start((error, stats) => { console.error(process.getuid(), error, Number(stats.samples), stats.lost); });
    native.perfEnable(fd);
    native.sendMessage(3, new Uint8Array(1), []);`;
  const ids = ['--reuid', '60123', '--regid', '60123', '--clear-groups', '--bounding-set=-all', '--no-new-privs'];
  const collector = spawn('setpriv', [...ids, process.execPath, '--input-type=module', '-e', source], {
    stdio: ['ignore', 'pipe', 'pipe', far],
  });
  t.teardown(() => collector.kill('SIGKILL'));
  native.close(far);
  const chunks: Buffer[] = [];
  let report = '';
  collector.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk));
  collector.stderr?.setEncoding('utf8').on('data', (text: string) => (report += text));
  const closed = once(collector, 'close');
  while (native.receiveMessage(near, new Uint8Array(1)) === null && collector.exitCode === null) await sleep(5);
  release(child);
  await closed;
  const samples = countType(recordStream(Buffer.concat(chunks)), RECORD_SAMPLE);
  t.true(samples > 20, `${samples} samples; ${report}`);
  t.is(report, `60123 null ${samples} 0n\n`);
});
