/** A daemon that was killed while a thread of its broker hangs in the kernel: the fds of the broker stay open until the thread goes on. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { ALICE, BOB, runAs, startAs } from './as_user.js';
import { noPrivilege, skip, startDaemon, type Daemon } from './daemon.js';
import { compileTools } from '../tools/compile.js';
import { holdContext, NO_HOLDER, perfEventsOf, type HeldContext } from '../tools/held_context.js';

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test.serial : test.serial.skip;

interface Scene {
  readonly daemon: Daemon;
  readonly held: HeldContext;
}

/**
 * A daemon with a close(2) that hangs: of an event whose context is held, and to which the broker has the last reference.
 * @returns null when no context can be held here, which has been reported
 */
async function scene(t: ExecutionContext): Promise<Scene | null> {
  const tools = compileTools('lock_holder');
  t.teardown(tools.remove);
  const daemon = await startDaemon();
  t.teardown(() => daemon.stop());
  const [leave, done] = [join(daemon.directory, 'leave'), join(daemon.directory, 'done')];
  const { child, result } = startAs(
    { uid: ALICE, socket: daemon.socket },
    async ({ client, syntax }, leaveFile, doneFile) => {
      const { existsSync: exists } = await import('node:fs');
      const until = async (file: string): Promise<void> => {
        while (!exists(file)) await new Promise((resolve) => setTimeout(resolve, 10));
      };
      const connection = await client.connect();
      const targets = Array.from({ length: 2 }, () => ({ pid: process.pid, threads: 'leader' as const }));
      const grant = await connection.open({ targets, events: syntax.parseEvents('task-clock:u') });
      await until(leaveFile);
      for (const event of grant.events) event.close();
      await connection.close();
      await until(doneFile);
    },
    leave,
    done,
  );
  t.teardown(async () => {
    writeFileSync(leave, '');
    writeFileSync(done, '');
    await result;
  });
  let events: readonly number[] = [];
  for (; events.length < 2; events = perfEventsOf(child.pid!)) await sleep(10);
  const held = await holdContext(tools.path('lock_holder'), child.pid!, events.at(-1)!);
  if (held === null) return (skip(t, NO_HOLDER), null);
  t.teardown(held.release);
  writeFileSync(leave, '');
  // The first of them is closed: its number is free, and its thread hangs.
  while (perfEventsOf(daemon.parts.broker).length !== 1) await sleep(10);
  return { daemon, held };
}

/** Resolves when the first thread of a process has ended: the process stays as long as another thread of it hangs. */
async function isZombie(pid: number): Promise<void> {
  while (!readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')) await sleep(10);
}

/** `connected`, or the code of the error. */
function connectTo(socket: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const connection = createConnection(socket, () => {
      connection.destroy();
      resolve('connected');
    });
    connection.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code));
  });
}

/** Starts another daemon on the socket of one that is dead, and has it serve a user. */
async function anotherServes(t: ExecutionContext, { socket }: Daemon): Promise<void> {
  const another = await startDaemon({ socket });
  t.teardown(() => another.stop());
  const served = await runAs({ uid: BOB, socket }, async ({ client, syntax }) => {
    const connection = await client.connect();
    const targets = [{ pid: process.pid, threads: 'leader' as const }];
    const grant = await connection.open({ targets, events: syntax.parseEvents('task-clock:u') });
    await connection.close();
    return grant.events.length;
  });
  t.is(served, 1);
  t.is(another.child.exitCode, null);
}

privileged('after a kill -9 of the opener a broker that cannot end refuses connections', async (t) => {
  const there = await scene(t);
  if (there === null) return;
  const { daemon, held } = there;
  const { monitor, opener, broker } = daemon.parts;
  // Otherwise the monitor may end the broker before the broker itself finds that the opener has died.
  process.kill(monitor, 'SIGSTOP');
  t.teardown(() => process.kill(monitor, 'SIGCONT'));
  process.kill(opener, 'SIGKILL');
  await isZombie(broker);
  t.is(await connectTo(daemon.socket), 'ECONNREFUSED');
  await anotherServes(t, daemon);
  t.true(existsSync(`/proc/${broker}`), 'its thread hangs still');
  t.true(held.holding());
});

privileged(
  'after a kill -9 of the monitor another daemon starts, though the listener of the first takes connections',
  async (t) => {
    const there = await scene(t);
    if (there === null) return;
    const { daemon, held } = there;
    const { monitor, broker } = daemon.parts;
    process.kill(monitor, 'SIGKILL');
    await isZombie(broker);
    t.is(await connectTo(daemon.socket), 'connected');
    await anotherServes(t, daemon);
    t.true(existsSync(`/proc/${broker}`), 'its thread hangs still');
    t.true(held.holding());
  },
);
