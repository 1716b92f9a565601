/** Clients that keep the mutex of a perf context locked: what has to wait for it waits for them alone. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { ALICE, BOB, runAs, startAs, type UserProcess } from './as_user.js';
import { noPrivilege, OPEN_POLICY, skip, startDaemon, type Daemon } from './daemon.js';
import { compileTools, type CompiledTools } from '../tools/compile.js';
import { fdsBackTo, openFds, settledFds } from '../tools/fds_of.js';
import { holdContext, NO_HOLDER, perfEventsOf, type HeldContext } from '../tools/held_context.js';

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test.serial : test.serial.skip;

/** A user whom the policy lets observe the processes of all users. */
const OBSERVER = 60125;
const OBSERVERS = `
[[rule]]
name = "observers"
verdict = "allow"
subjects = { users = [${OBSERVER}] }
targets = { any_user = true }
classes = ["user", "other-users"]
`;

let tools: CompiledTools;
let daemon: Daemon;
test.serial.before(async () => {
  if (reason !== null) return;
  tools = compileTools('lock_holder');
  daemon = await startDaemon({
    policy: `${OBSERVERS}${OPEN_POLICY.replace('grants = 32', 'grants = 2')}\n[service]\nrequests_per_second = 10000\nburst = 20000\n`,
    args: ['--ceiling', 'user,other-users'],
  });
});
test.serial.after.always(async () => {
  await daemon?.stop();
  tools?.remove();
});

/** Waits until a process has `count` perf events open, and holds the context of the last of them. */
async function hold(t: ExecutionContext, pid: number, count: number): Promise<HeldContext | null> {
  let events = perfEventsOf(pid);
  for (; events.length < count; events = perfEventsOf(pid)) await sleep(10);
  const held = await holdContext(tools.path('lock_holder'), pid, events.at(-1) ?? -1);
  if (held === null) skip(t, NO_HOLDER);
  else t.teardown(held.release);
  return held;
}

/** The holder gives up after a while. */
function stillHeld(t: ExecutionContext, held: HeldContext): void {
  if (held.holding()) t.pass();
  else skip(t, 'the machine is too slow: the context is not held any more, so this shows nothing');
}

/** Another user gets an answer, and a grant. */
async function othersAreServed(): Promise<boolean> {
  return runAs({ uid: BOB, socket: daemon.socket }, async ({ client, syntax }) => {
    const connection = await client.connect();
    await connection.describe();
    const targets = [{ pid: process.pid, threads: 'leader' as const }];
    const grant = await connection.open({ targets, events: syntax.parseEvents('task-clock:u') });
    await grant.close();
    await connection.close();
    return grant.events.length === 1;
  });
}

/** A file that lets a client of a test go on, once it exists. */
function signal(name: string): { readonly path: string; readonly give: () => void } {
  const path = join(daemon.directory, name);
  return { path, give: () => writeFileSync(path, '') };
}

/** Waits until a client of a test has given itself this name. */
async function called(pid: number, name: string): Promise<void> {
  while (readFileSync(`/proc/${pid}/comm`, 'utf8') !== `${name}\n`) await sleep(10);
}

/** A client of Alice's with an event on itself, until `done` is given. */
function startTarget(t: ExecutionContext, done: string): UserProcess<void> {
  const target = startAs(
    { uid: ALICE, socket: daemon.socket },
    async ({ client, syntax }, file) => {
      const { existsSync } = await import('node:fs');
      const connection = await client.connect();
      const targets = [{ pid: process.pid, threads: 'leader' as const }];
      await connection.open({ targets, events: syntax.parseEvents('task-clock:u') });
      while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 10));
    },
    done,
  );
  t.teardown(() => target.child.kill('SIGKILL'));
  return target;
}

/** The record of the end of the last grant that ended by `why`. */
async function recordOfEnd(why: string): Promise<Record<string, unknown>> {
  for (;;) {
    const record = daemon.audit().findLast(({ action, reason: by }) => action === 'end' && by === why);
    if (record !== undefined) return record;
    await sleep(20);
  }
}

privileged(
  "an administrator's revoke of a grant whose context is held reports the result so far, and delays no other user",
  async (t) => {
    const done = signal('revoke-done');
    const { child, result } = startTarget(t, done.path);
    const held = await hold(t, child.pid!, 1);
    if (held !== null) {
      const revoked = runAs({ uid: 0, socket: daemon.socket }, async ({ client }) => {
        const connection = await client.connect();
        const [grant] = await connection.listGrants({ all: true });
        return connection.revoke(grant!.id);
      });
      t.true(await othersAreServed());
      const answer = await revoked;
      t.like(answer, { fds: 1, disabled: 0 });
      t.regex(answer.kept, /^1 events are not disabled yet.*The holder keeps the 1 fds/s);
      t.like(await recordOfEnd('revoked'), { disabled: 0, notYetDisabled: 1 });
      stillHeld(t, held);
      await held.release();
    }
    done.give();
    await result;
  },
);

privileged(
  'the quota of a client that disconnects is released when its events are closed, and others are served',
  async (t) => {
    const [leave, retry] = [signal('close-leave'), signal('close-retry')];
    const { child, result } = startAs(
      { uid: ALICE, socket: daemon.socket },
      async ({ client, syntax }, leaveFile, retryFile) => {
        const { existsSync } = await import('node:fs');
        const until = async (file: string): Promise<void> => {
          while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 10));
        };
        const targets = [{ pid: process.pid, threads: 'leader' as const }];
        const events = syntax.parseEvents('task-clock:u');
        const open = async (): Promise<string> => {
          const connection = await client.connect();
          try {
            return await connection.open({ targets, events }).then(
              () => 'opened',
              ({ code }: { code: string }) => code,
            );
          } finally {
            await connection.close();
          }
        };
        const connection = await client.connect();
        const grants = [await connection.open({ targets, events }), await connection.open({ targets, events })];
        await until(leaveFile);
        // The broker has the last reference to the first of them, and closes it first.
        grants[0]!.events[0]!.close();
        await connection.close();
        const answers = [await open()];
        process.title = 'refused';
        await until(retryFile);
        do answers.push(await open());
        while (answers.at(-1) === 'grants');
        return answers;
      },
      leave.path,
      retry.path,
    );
    const held = await hold(t, child.pid!, 2);
    leave.give();
    if (held !== null) {
      t.true(await othersAreServed());
      await called(child.pid!, 'refused');
      stillHeld(t, held);
      await held.release();
    }
    retry.give();
    const answers = await result;
    if (held === null) return;
    t.is(answers[0], 'grants', 'while they cannot be closed they count');
    t.is(answers.at(-1), 'opened');
  },
);

privileged('the end of a lease whose events cannot be disabled yet is recorded, and others are served', async (t) => {
  const done = signal('lease-done');
  const { child, result } = startAs(
    { uid: ALICE, socket: daemon.socket },
    async ({ client, syntax }, file) => {
      const { existsSync } = await import('node:fs');
      const connection = await client.connect();
      const targets = [{ pid: process.pid, threads: 'leader' as const }];
      const events = syntax.parseEvents('task-clock:u');
      const grant = await connection.open({ targets, events, leaseSeconds: 1 });
      while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 10));
      return grant.leaseSeconds;
    },
    done.path,
  );
  const held = await hold(t, child.pid!, 1);
  const late = daemon.audit().some(({ action, reason: by }) => action === 'end' && by === 'lease');
  if (late) skip(t, 'the lease ended before its context was held');
  else if (held !== null) {
    t.like(await recordOfEnd('lease'), { disabled: 0, notYetDisabled: 1 });
    t.true(await othersAreServed());
    stillHeld(t, held);
  }
  await held?.release();
  done.give();
  await result;
});

privileged(
  'a user with too many fds that cannot be closed gets no more connections until they are, and others do',
  async (t) => {
    const { broker } = daemon.parts;
    const before = await settledFds(broker);
    const [leave, retry] = [signal('unclosed-leave'), signal('unclosed-retry')];
    const { child, result } = startAs(
      { uid: ALICE, socket: daemon.socket },
      async ({ client, native, syntax }, leaveFile, retryFile) => {
        const { existsSync, openSync } = await import('node:fs');
        const until = async (file: string): Promise<void> => {
          while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 10));
        };
        const targets = [{ pid: process.pid, threads: 'leader' as const }];
        const events = syntax.parseEvents('task-clock:u');
        const connection = await client.connect();
        const grants = [await connection.open({ targets, events }), await connection.open({ targets, events })];
        await until(leaveFile);
        grants[0]!.events[0]!.close();
        await connection.close();
        const file = openSync('/dev/null', 'r');
        const call = Buffer.from('{"method":"org.perfbroker.Broker.Describe"}\0');
        const into = new Uint8Array(65536);
        const socket = native.connectUnix(process.env['PERFBROKER_SOCKET']!);
        const answers: string[] = [];
        // 759 fds of three messages, then one that finds more than 512 of them unclosed.
        while (answers.length < 4) {
          native.sendMessage(
            socket,
            call,
            Array.from({ length: 253 }, () => file),
          );
          let got = native.receiveMessage(socket, into);
          for (; got === null; got = native.receiveMessage(socket, into))
            await new Promise((resolve) => setTimeout(resolve, 10));
          const text = Buffer.from(into.subarray(0, got.bytes)).toString();
          answers.push(/org[.]\w+[.]\w+[.](\w+)/.exec(text)?.[1] ?? 'closed');
        }
        const describe = async (): Promise<string> =>
          (await client.connect()).describe().then(
            () => 'described',
            ({ error }: { error: string }) => error,
          );
        answers.push(await describe());
        process.title = 'refused';
        await until(retryFile);
        let last: string;
        do last = await describe();
        while (last === 'QuotaExceeded');
        return [...answers, last];
      },
      leave.path,
      retry.path,
    );
    const held = await hold(t, child.pid!, 2);
    leave.give();
    if (held !== null) {
      await called(child.pid!, 'refused');
      t.true(await othersAreServed());
      stillHeld(t, held);
      await held.release();
    }
    retry.give();
    const answers = await result;
    if (held === null) return;
    t.deepEqual(answers.slice(0, 5), [...Array.from({ length: 3 }, () => 'UnexpectedFds'), 'closed', 'QuotaExceeded']);
    t.is(answers.at(-1), 'described');
    await fdsBackTo(broker, before);
  },
);

privileged('forty closes of one user that hang leave the closes of others alone', async (t) => {
  const leave = signal('forty-leave');
  const { broker } = daemon.parts;
  const before = await settledFds(broker);
  const { child, result } = startAs(
    { uid: ALICE, socket: daemon.socket },
    async ({ client, syntax }, file) => {
      const { existsSync } = await import('node:fs');
      const connection = await client.connect();
      const targets = Array.from({ length: 40 }, () => ({ pid: process.pid, threads: 'leader' as const }));
      const grant = await connection.open({ targets, events: syntax.parseEvents('task-clock:u') });
      while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 10));
      for (const event of grant.events) event.close();
      await connection.close();
    },
    leave.path,
  );
  const held = await hold(t, child.pid!, 40);
  leave.give();
  if (held !== null) {
    // The first of them is closed: its number is free, and its thread hangs.
    while (perfEventsOf(broker).length !== 39) await sleep(10);
    const hanging = openFds(broker);
    t.true(await othersAreServed());
    await fdsBackTo(broker, hanging);
    t.is(perfEventsOf(broker).length, 39);
    stillHeld(t, held);
    await held.release();
  }
  await result;
  await fdsBackTo(broker, before);
});

privileged(
  'rings of a held context are watched in the lane of their user, and counted until they are unmapped',
  async (t) => {
    const [leave, unmap, retry] = [signal('ring-leave'), signal('ring-unmap'), signal('ring-retry')];
    const { broker } = daemon.parts;
    const before = await settledFds(broker);
    const { child, result } = startAs(
      { uid: ALICE, socket: daemon.socket, ulimit: '-l 0' },
      async ({ client, native, syntax }, leaveFile, unmapFile, retryFile) => {
        const { existsSync } = await import('node:fs');
        const until = async (file: string): Promise<void> => {
          while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 10));
        };
        const targets = [{ pid: process.pid, threads: 'leader' as const }];
        const [event] = syntax.parseEvents('cpu-clock:u');
        const events = [{ ...event!, sampling: { frequency: 100 }, sampleType: ['ip' as const] }];
        const open = async (ringBytes: number): ReturnType<Awaited<ReturnType<typeof client.connect>>['open']> =>
          (await client.connect()).open({ targets, events, ringBytes });
        const connection = await client.connect();
        const grant = await connection.open({ targets, events, ringBytes: 8 << 20 });
        const ring = native.createRing(grant.events[0]!.fd, 2048);
        await grant.mapped();
        await until(leaveFile);
        await connection.close();
        await until(unmapFile);
        ring.close();
        await until(retryFile);
        const codes: string[] = [];
        do {
          codes.push(
            await open(16 << 20).then(
              () => 'opened',
              ({ code }: { code: string }) => code,
            ),
          );
        } while (codes.at(-1) === 'ring-bytes');
        return codes.at(-1);
      },
      leave.path,
      unmap.path,
      retry.path,
    );
    const held = await hold(t, child.pid!, 1);
    leave.give();
    if (held !== null) {
      while (perfEventsOf(broker).length !== 1) await sleep(10);
      t.true(await othersAreServed());
      unmap.give();
      t.true(await othersAreServed());
      t.is(perfEventsOf(broker).length, 1);
      stillHeld(t, held);
      await held.release();
    }
    unmap.give();
    retry.give();
    t.is(await result, 'opened');
    await fdsBackTo(broker, before);
  },
);

/** `opened`, or the error of an Open by a user, of a process or of itself. */
function openBy(uid: number, pid: number | null): Promise<string> {
  return runAs(
    { uid, socket: daemon.socket },
    async ({ client, syntax }, target) => {
      const connection = await client.connect({ timeoutMs: 60_000 });
      const targets = [{ pid: target ?? process.pid, threads: 'leader' as const }];
      return connection.open({ targets, events: syntax.parseEvents('task-clock:u') }).then(
        () => 'opened',
        ({ code, message }: { code: string; message: string }) => `${code}: ${message}`,
      );
    },
    pid,
  );
}

const LATE = /^opener-late: the request has not been finished within/;
const REFUSED = /^opener-late: an earlier request about process \d+ .* has not been finished/;

/** Opens until the late request has ended. */
async function openAfterLate(uid: number, pid: number): Promise<string> {
  for (;;) {
    const outcome = await openBy(uid, pid);
    if (!outcome.startsWith('opener-late')) return outcome;
  }
}

async function startSleep(t: ExecutionContext, uid: number): Promise<number> {
  const child = spawn('sleep', ['60'], { uid, gid: uid, stdio: 'ignore' });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child, 'spawn');
  return child.pid!;
}

privileged(
  'an open that waits for a held context is late for its own user alone, who is refused that target until the worker has ended',
  async (t) => {
    const done = signal('open-done');
    const { child, result } = startTarget(t, done.path);
    const held = await hold(t, child.pid!, 1);
    if (held !== null) {
      const before = await settledFds(daemon.parts.broker);
      const late = openBy(ALICE, child.pid!);
      t.true(await othersAreServed());
      t.regex(await late, LATE);
      stillHeld(t, held);
      t.regex(await openBy(ALICE, child.pid!), REFUSED);
      t.is(await openBy(ALICE, null), 'opened', 'another target');
      t.true(await othersAreServed());
      stillHeld(t, held);
      await held.release();
      t.is(await openAfterLate(ALICE, child.pid!), 'opened');
      await fdsBackTo(daemon.parts.broker, before);
    }
    done.give();
    await result;
    t.is(daemon.child.exitCode, null, 'the daemon lives');
  },
);

privileged(
  'a user who holds the context of its process costs the observer of that process no other target',
  async (t) => {
    const done = signal('observed-done');
    const { child, result } = startTarget(t, done.path);
    const held = await hold(t, child.pid!, 1);
    if (held !== null) {
      const before = await settledFds(daemon.parts.broker);
      t.regex(await openBy(OBSERVER, child.pid!), LATE);
      t.regex(await openBy(OBSERVER, child.pid!), REFUSED);
      t.is(await openBy(OBSERVER, null), 'opened', 'its own process');
      t.is(await openBy(OBSERVER, await startSleep(t, BOB)), 'opened', "a third user's");
      t.is(await openBy(OBSERVER, await startSleep(t, ALICE)), 'opened', 'another one of the same user');
      stillHeld(t, held);
      await held.release();
      t.is(await openAfterLate(OBSERVER, child.pid!), 'opened');
      await fdsBackTo(daemon.parts.broker, before);
    }
    done.give();
    await result;
  },
);
