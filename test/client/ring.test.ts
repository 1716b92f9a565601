import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { RingReader, type PerfRecord } from '#dist/client/ring.js';
import { native, type Fd } from '#dist/native.js';
import { RECORD_EXIT, RECORD_LOST, RECORD_SAMPLE } from '../native/record_stream.js';
import {
  burn,
  closeLater,
  CPU_CLOCK,
  FORMAT_LOST,
  openFds,
  openSoftware,
  release,
  waitingShell,
} from '../native/support.js';

const TASK = 1n << 13n;
const BUSY = 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done';

function pidOf(sample: PerfRecord): number {
  return new DataView(sample.body.buffer, sample.body.byteOffset).getUint32(8, true);
}

/** Closed at the end of the test at the latest: an open one would keep the process alive. */
function openReader(t: ExecutionContext, fd: Fd, pages: number): RingReader {
  const reader = new RingReader(fd, pages);
  t.teardown(() => {
    reader.close();
  });
  return reader;
}

for (const [pages, period] of [
  [1, 40_000],
  [64, 50_000],
] as const) {
  test.serial(`all records of a child through a ring of ${pages} pages, until it ends`, async (t) => {
    const child = waitingShell(t, BUSY);
    const fd = openSoftware({ config: CPU_CLOCK, period, readFormat: FORMAT_LOST, bits: TASK }, child.pid);
    closeLater(t, fd);
    const reader = openReader(t, fd, pages);
    native.perfEnable(fd);
    release(child);
    let samples = 0;
    let exits = 0;
    let lost = 0n;
    for await (const record of reader) {
      if (record.type === RECORD_SAMPLE) {
        samples++;
        if (record.body.length !== 24 || pidOf(record) !== child.pid) t.fail('a broken sample');
      } else if (record.type === RECORD_EXIT) exits++;
      else if (record.type === RECORD_LOST) {
        lost += new DataView(record.body.buffer, record.body.byteOffset).getBigUint64(8, true);
      }
    }
    t.true(samples > 50, `${samples} samples`);
    t.is(reader.lost, lost);
    // The kernel's own count also covers the last losses, which no LOST record follows.
    const kernelLost = native.perfRead(fd)[1] ?? -1n;
    t.true(kernelLost >= lost);
    if (kernelLost === 0n) t.is(exits, 1, 'the last record was read');
    t.true(reader.ended);
    reader.close();
  });
}

test.serial('records are the caller’s: later reads do not change them', (t) => {
  const fd = openSoftware({ config: CPU_CLOCK, period: 100_000 }, process.pid);
  closeLater(t, fd);
  const reader = openReader(t, fd, 8);
  native.perfEnable(fd);
  burn(10);
  const first = reader.read();
  const copy = first.map((record) => Buffer.from(record.body).toString('hex'));
  burn(10);
  t.true(reader.read().length > 0);
  t.deepEqual(
    first.map((record) => Buffer.from(record.body).toString('hex')),
    copy,
  );
  t.true(first.length > 0);
  t.false(reader.ended);
  reader.close();
});

test.serial('a reader waits for the watermark without using the cpu, and close ends the wait', async (t) => {
  const before = openFds();
  const fd = openSoftware({ config: CPU_CLOCK, period: 1_000_000 }, process.pid);
  const reader = openReader(t, fd, 8);
  let finished = false;
  const loop = (async () => {
    for await (const record of reader) t.fail(`a record of type ${record.type}`);
    finished = true;
  })();
  const used = process.cpuUsage();
  await sleep(100);
  const { user, system } = process.cpuUsage(used);
  t.true(user + system < 50_000, `${user + system} us of cpu in 100 ms`);
  t.false(finished);
  reader.close();
  reader.close();
  await loop;
  t.true(finished);
  t.deepEqual(reader.read(), []);
  t.throws(
    () => {
      reader.addEvent(fd);
    },
    { code: 'EBADF' },
  );
  native.close(fd);
  t.deepEqual(openFds(), before);
});

test.serial('a ring that never runs empty does not starve the event loop', async (t) => {
  const fd = openSoftware({ config: CPU_CLOCK, period: 50_000, wakeupEvents: 1 }, process.pid);
  closeLater(t, fd);
  const reader = openReader(t, fd, 64);
  native.perfEnable(fd);
  let turns = 0;
  const timer = setInterval(() => {
    if (++turns === 5) reader.close();
  }, 1);
  let records = 0;
  // Something new is in the ring after every batch; the loop ends only if the timer gets its turns.
  for await (const record of reader) {
    records += record.type > 0 ? 1 : 0;
    burn(0.1);
  }
  clearInterval(timer);
  t.true(records > 0);
});

test.serial('events of two tasks in one ring: the loop ends with the second', async (t) => {
  const first = waitingShell(t, 'true');
  const second = waitingShell(t, BUSY);
  const [one, two] = [first, second].map((child) =>
    openSoftware({ config: CPU_CLOCK, period: 100_000, bits: TASK }, child.pid, 0),
  ) as [number, number];
  closeLater(t, one, two);
  const reader = openReader(t, one, 16);
  reader.addEvent(two);
  native.perfEnable(one);
  native.perfEnable(two);
  release(first);
  await once(first, 'exit');
  let released = false;
  setTimeout(() => {
    released = true;
    release(second);
  }, 50);
  const exited: number[] = [];
  // EXIT: u32 pid, ppid, tid, ptid.
  for await (const record of reader) {
    if (record.type === RECORD_EXIT)
      exited.push(new DataView(record.body.buffer, record.body.byteOffset).getUint32(0, true));
  }
  t.true(released, 'the end of the first task did not end the loop');
  t.true(exited.every((pid) => pid === first.pid || pid === second.pid));
  reader.close();
});

test.serial('a ring that cannot be mapped is an error that leaves nothing behind', (t) => {
  const before = openFds();
  t.throws(() => new RingReader(0, 8), { message: /mmap/ });
  t.throws(() => new RingReader(1_000_000, 8), { code: 'EBADF' });
  t.throws(() => new RingReader(0, 3), { instanceOf: TypeError });
  t.deepEqual(openFds(), before);
});
