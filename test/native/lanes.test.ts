import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import test, { type ExecutionContext } from 'ava';
import { native, type Fd } from '#dist/native.js';
import { skip } from '../e2e/daemon.js';
import { PYTHON } from '../e2e/lingering.js';
import { compileTools, type CompiledTools } from '../tools/compile.js';
import { holdContext, NO_HOLDER, perfEventsOf, type HeldContext } from '../tools/held_context.js';
import { listenTo } from '../tools/said.js';
import {
  closeLater,
  CPU_CLOCK,
  NATIVE_URL,
  openFds,
  openSoftware,
  temporaryDirectory,
  waitingShell,
} from './support.js';

const SLOW = 1;
const OTHER = 2;

let tools: CompiledTools;
test.before(() => {
  tools = compileTools('lock_holder');
});
test.after.always(() => tools?.remove());

// No lane keeps the event loop alive.
const alive = setInterval(() => undefined, 1000);
test.after.always(() => clearInterval(alive));

const closed = (lane: number, fds: readonly Fd[]): Promise<void> =>
  new Promise((resolve) => native.closeInLane(lane, fds, resolve));
const ringsMapped = (lane: number, fds: readonly Fd[]): Promise<boolean> =>
  new Promise((resolve) => native.ringsMappedInLane(lane, fds, ([mapped]) => resolve(mapped === 1)));
const idle = async (): Promise<void> => {
  while (native.laneOperations() > 0) await sleep(5);
};
const event = (pid: number): Fd => openSoftware({ config: CPU_CLOCK, period: 1_000_000 }, pid);

interface Held {
  readonly pid: number;
  /** The one that the holder has a duplicate of. */
  readonly fd: Fd;
  /** Others of the same context, which were opened before: what the test does not close in a lane it leaves to its end. */
  readonly others: readonly Fd[];
  readonly context: HeldContext;
}

/** A process whose perf context is held until the end of the test; null when this kernel cannot. */
async function held(t: ExecutionContext, others = 0): Promise<Held | null> {
  const { pid } = waitingShell(t, ':');
  const fd = event(pid);
  const more = Array.from({ length: others }, () => event(pid));
  closeLater(t, fd);
  const context = await holdContext(tools.path('lock_holder'), process.pid, fd);
  if (context !== null) {
    t.teardown(context.release);
    return { pid, fd, others: more, context };
  }
  t.log(`skipped: ${NO_HOLDER}`);
  t.pass(NO_HOLDER);
  return null;
}

test.serial('a close that hangs holds up the later ones of its lane and no other lane', async (t) => {
  const target = await held(t, 40);
  if (target === null) return;
  const order: string[] = [];
  const slow = target.others.map((each, index) => closed(SLOW, [each]).then(() => order.push(`slow ${index}`)));
  const last = closed(SLOW, [native.duplicate(0)]).then(() => order.push('slow, which would not hang'));
  await closed(OTHER, [native.duplicate(0)]);
  order.push('other');
  t.deepEqual(order, ['other']);
  t.is(native.laneOperations(), 41);
  await target.context.release();
  await Promise.all([...slow, last]);
  t.deepEqual(order, ['other', ...target.others.map((_, index) => `slow ${index}`), 'slow, which would not hang']);
  t.is(native.laneOperations(), 0);
});

test.serial('when the closes of several users hang, a thread is left for one more user', async (t) => {
  const target = await held(t);
  if (target === null) return;
  const copies = Array.from({ length: 64 }, () => native.duplicate(target.fd));
  const disabled = copies.map(
    (copy, user) => new Promise<void>((resolve) => native.disableInLane(100 + user, [copy], () => resolve())),
  );
  await closed(OTHER, [native.duplicate(0)]);
  t.is(native.laneOperations(), 64);
  await target.context.release();
  await Promise.all(disabled);
  for (const copy of copies) native.close(copy);
});

test.serial('events are disabled when their context is released, and the number disabled so far is known', async (t) => {
  const target = await held(t);
  if (target === null) return;
  const { pid } = waitingShell(t, ':');
  const free = event(pid);
  closeLater(t, free);
  let done: number | undefined;
  const progress = native.disableInLane(SLOW, [free, target.fd], ([count]) => (done = count));
  while (progress() === 0) await sleep(5);
  await closed(OTHER, []);
  t.is(progress(), 1);
  t.is(done, undefined);
  await target.context.release();
  while (done === undefined) await sleep(5);
  t.is(done, 2);
});

test.serial('a ring is mapped as long as some event has it, as its own event and as its keeper say', async (t) => {
  const { pid } = waitingShell(t, ':');
  const [ring, keeper] = [event(pid), event(pid)];
  closeLater(t, ring, keeper);
  t.false(await ringsMapped(SLOW, [ring, keeper]));
  const mapping = native.createRing(ring, 4);
  const [probed, kept] = await new Promise<readonly number[]>((resolve) =>
    native.keepRingsInLane(SLOW, [keeper], [ring], 4, resolve),
  );
  t.true(probed === 0 || probed === 1);
  t.is(kept, 1);
  t.true(await ringsMapped(SLOW, [ring]));
  t.true(await ringsMapped(SLOW, [keeper]));
  mapping.close();
  t.false(await ringsMapped(SLOW, [ring, keeper]));
});

test.serial('whether rings are mapped is not asked on the main thread', async (t) => {
  const target = await held(t);
  if (target === null) return;
  const asked = ringsMapped(SLOW, [target.fd]);
  await closed(OTHER, []);
  t.is(native.laneOperations(), 1);
  await target.context.release();
  t.false(await asked);
});

test.serial('fds that a client left unread are closed in its lane when its connection is, and never have a number here', async (t) => {
  const target = await held(t, 2);
  if (target === null) return;
  const [ours, theirs] = native.socketPair('stream');
  t.is(native.sendMessage(theirs, Buffer.from('first'), []), 5);
  for (const sent of target.others) t.is(native.sendMessage(theirs, Buffer.from('x'), [sent]), 1);
  native.close(theirs);
  for (const sent of target.others) native.close(sent); // not the last reference
  const before = perfEventsOf(process.pid);
  native.closeConnection(SLOW, ours);
  t.is(native.foreignFds(SLOW), 1);
  t.deepEqual(perfEventsOf(process.pid), before);
  await closed(OTHER, []);
  t.is(native.foreignFds(SLOW), 1);
  t.is(native.foreignFds(OTHER), 0);
  await target.context.release();
  await idle();
  t.is(native.foreignFds(SLOW), 0);
});

/** A thread of a lane waits in the kernel and no signal ends that. */
function isLaneHanging(): boolean {
  return readdirSync('/proc/self/task').some((tid) => {
    try {
      return readFileSync(`/proc/self/task/${tid}/stat`, 'latin1').includes('(perf-lane) D');
    } catch {
      return false; // it has ended
    }
  });
}

/** Closes a connection over an unread fd, which is the last reference to its file. */
function closeOver(fd: Fd): void {
  const [ours, theirs] = native.socketPair('stream');
  native.sendMessage(theirs, Buffer.from('x'), [fd]);
  native.close(theirs);
  native.close(fd);
  native.closeConnection(SLOW, ours);
}

test.serial('connections that pile up behind a close that hangs are closed beside it, and keep no fd numbers', async (t) => {
  const target = await held(t, 3);
  if (target === null) return;
  const before = openFds().length;
  const [first = -1, second = -1, third = -1] = target.others;
  closeOver(first);
  while (!isLaneHanging()) await sleep(5);
  const many = (count: number): void => {
    for (let each = 0; each < count; each++) closeOver(native.duplicate(0));
  };
  closeOver(second);
  many(255);
  closeOver(third);
  many(511);
  many(100);
  // What is left of the numbers: the connection in the lane and those after the first 256 and the next 512. The three events have none.
  while (openFds().length > before - 3 + 101) await sleep(5);
  t.is(native.foreignFds(SLOW), 1 + 256 + 512 + 100);
  await closed(OTHER, []);
  await target.context.release();
  await idle();
  t.is(native.foreignFds(SLOW), 0);
  t.true(openFds().length <= before - 3);
});

test.serial('a connection with unread fds that do not hang ends cleanly', async (t) => {
  const before = openFds().length;
  const unread = native.duplicate(0);
  for (let count = 0; count < 200; count++) {
    const [ours, theirs] = native.socketPair('stream');
    native.sendMessage(theirs, Buffer.from('x'), [unread]);
    native.closeConnection(SLOW, ours);
    t.is(native.receiveMessage(theirs, new Uint8Array(8))?.bytes, 0);
    native.close(theirs);
  }
  native.close(unread);
  await idle();
  t.is(native.foreignFds(SLOW), 0);
  t.is(openFds().length, before);
});

test.serial('an empty connection, and one with a few bytes, is closed at once, and one with many in its lane', async (t) => {
  const before = openFds();
  for (const bytes of ['', 'x'.repeat(10_000), 'x'.repeat(100_000)]) {
    const [ours, theirs] = native.socketPair('stream');
    if (bytes !== '') native.sendMessage(theirs, Buffer.from(bytes), []);
    native.closeConnection(SLOW, ours);
    if (bytes.length < 100_000) t.is(native.laneOperations(), 0);
    await idle();
    t.is(native.receiveMessage(theirs, new Uint8Array(8))?.bytes, 0, 'an orderly end');
    native.close(theirs);
  }
  t.deepEqual(openFds(), before);
});

test.serial('unread out-of-band data keeps no lane busy', async (t) => {
  if (!existsSync(PYTHON)) return skip(t, `${PYTHON} is missing`);
  const path = join(temporaryDirectory(t), 'socket');
  const listener = native.listenUnix(path, 8);
  closeLater(t, listener);
  const send = async (socket: string, fd: Fd | 'ignore'): Promise<boolean> => {
    const script = `import socket\ns = ${socket}\ntry: s.send(b'x', socket.MSG_OOB)\nexcept OSError: exit(1)`;
    const [code] = (await once(spawn(PYTHON, ['-c', script], { stdio: ['ignore', 'ignore', 'inherit', fd] }), 'exit')) as [
      number,
    ];
    return code === 0;
  };
  const [ours, theirs] = native.socketPair('stream');
  const known = await send('socket.socket(fileno=3)', theirs);
  native.close(theirs);
  native.closeConnection(SLOW, ours);
  await idle();
  if (!known) return skip(t, 'this kernel has no out-of-band data for AF_UNIX');
  await send(`socket.socket(socket.AF_UNIX); s.connect('${path}')`, 'ignore');
  native.closeConnection(SLOW, native.accept(listener) ?? -1);
  await idle();
  t.is(native.foreignFds(SLOW), 0);
});

test.serial('an fd that is not open is an error, and the others are closed', async (t) => {
  const before = openFds();
  const fd = native.duplicate(0);
  t.throws(() => native.closeInLane(SLOW, [fd, 1_000_000], null), { code: 'EBADF', message: /close/ });
  await closed(SLOW, []);
  t.deepEqual(openFds(), before);
});

test.serial('a worker can be terminated while one of its operations hangs, and the late result is dropped', async (t) => {
  const target = await held(t);
  if (target === null) return;
  const source = `
    import { parentPort, workerData } from 'node:worker_threads';
    const { native } = await import(${JSON.stringify(NATIVE_URL)});
    native.disableInLane(${SLOW}, [workerData], () => process.exit(9));
    parentPort.postMessage('asked');
    setInterval(() => {}, 1000);`;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), { workerData: target.fd });
  await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  await worker.terminate();
  t.is(native.laneOperations(), 1);
  await target.context.release();
  await idle();
  t.pass();
});

test.serial('a process can exit while an operation hangs, and ends with it', async (t) => {
  const target = await held(t);
  if (target === null) return;
  const source = `
    const { native } = await import(${JSON.stringify(NATIVE_URL)});
    native.disableInLane(${SLOW}, [3], () => console.log('done'));
    console.log('exiting');
    process.exit(7);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
    stdio: ['ignore', 'pipe', 'inherit', target.fd],
  });
  const code = new Promise((resolve) => child.once('close', resolve));
  const said = listenTo(child, 'stdout');
  await said.match(/exiting/);
  await target.context.release();
  t.is(await code, 7);
  t.is(said.text(), 'exiting\n');
});
