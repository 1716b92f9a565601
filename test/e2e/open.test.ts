/** The whole path: an unprivileged process gets events of its own processes from a real daemon. */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { ALICE, BOB, runAs } from './as_user.js';
import { noPrivilege, startDaemon, type Daemon } from './daemon.js';
import { startBusy } from './target.js';
import { fdsBackTo, settledFds } from '../tools/fds_of.js';

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test.serial : test.serial.skip;

let daemon: Daemon;
test.serial.before(async () => {
  if (reason === null) daemon = await startDaemon();
});
test.after.always(async () => {
  await daemon?.stop();
});

privileged('an unprivileged process counts an own process through the broker', async (t) => {
  const victim = await startBusy(ALICE);
  t.teardown(() => victim.end());
  const count = await runAs(
    { uid: ALICE, socket: daemon.socket },
    async ({ client, syntax }, pid) => {
      const connection = await client.connect();
      const grant = await connection.open({ targets: [{ pid }], events: syntax.parseEvents('task-clock:u') });
      const [event] = grant.events;
      event!.enable();
      let count = 0;
      for (let tries = 0; tries < 200 && count <= 10_000_000; tries++) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        count = Number(event!.read()[0]);
      }
      await connection.close();
      return count;
    },
    victim.pid,
  );
  t.true(count > 10_000_000, `task-clock counted ${count} ns`);
});

privileged('samples arrive in a ring that RLIMIT_MEMLOCK would not allow', async (t) => {
  const victim = await startBusy(ALICE);
  t.teardown(() => victim.end());
  const result = await runAs(
    { uid: ALICE, socket: daemon.socket, ulimit: '-l 0' },
    async ({ client, native, syntax }, pid) => {
      const { openSync, statSync } = await import('node:fs');
      const connection = await client.connect();
      const [event] = syntax.parseEvents('cpu-clock:u');
      const grant = await connection.open({
        targets: [{ pid, threads: 'leader' }],
        events: [{ ...event!, sampling: { frequency: 1000 }, sampleType: ['ip', 'tid', 'time'] }],
        ringBytes: 8 * 1024 * 1024,
      });
      const path = `/tmp/perfbroker-ring-${process.pid}`;
      const drain = native.createDrain(openSync(path, 'w'));
      drain.addRing(grant.events[0]!.fd, 2048);
      await grant.mapped();
      const ended = new Promise<{ samples: bigint }>((resolve, reject) =>
        drain.start((error, stats) => (error === null ? resolve(stats) : reject(error))),
      );
      grant.events[0]!.enable();
      for (let tries = 0; tries < 2000 && drain.stats().samples <= 50n; tries++)
        await new Promise((resolve) => setTimeout(resolve, 50));
      drain.stop();
      const { samples } = await ended;
      drain.close();
      const { size } = statSync(path);
      (await import('node:fs')).unlinkSync(path);
      await connection.close();
      return { samples: Number(samples), size };
    },
    victim.pid,
  );
  t.true(result.samples > 50, `${result.samples} samples`);
  t.true(result.size > result.samples * 24);
});

privileged('every thread and every cpu get their own fd, in several messages', async (t) => {
  const threads = 200;
  const result = await runAs(
    { uid: ALICE, socket: daemon.socket },
    async ({ client, syntax }, count) => {
      const { spawn } = await import('node:child_process');
      const child = spawn(
        'python3',
        [
          '-c',
          `import threading,time,sys\nfor i in range(${count - 1}): threading.Thread(target=time.sleep,args=(60,),daemon=True).start()\nprint("ready",flush=True)\ntime.sleep(60)`,
        ],
        { stdio: ['ignore', 'pipe', 'ignore'] },
      );
      await new Promise((resolve) => child.stdout.once('data', resolve));
      const connection = await client.connect();
      const { onlineCpus } = await connection.describe();
      const grant = await connection.open({
        targets: [{ pid: child.pid! }],
        events: syntax.parseEvents('task-clock:u'),
        cpus: onlineCpus,
      });
      const places = new Set(grant.events.map((event) => `${event.tid}/${event.cpu}`));
      const reads = grant.events.every((event) => event.read().length === 1);
      child.kill('SIGKILL');
      await connection.close();
      return { places: places.size, events: grant.events.length, cpus: onlineCpus.length, reads };
    },
    threads,
  );
  t.is(result.events, threads * result.cpus);
  t.is(result.places, result.events);
  t.true(result.reads);
});

privileged('a group is opened with its leader and reads as one', async (t) => {
  const words = await runAs({ uid: ALICE, socket: daemon.socket }, async ({ client, syntax }) => {
    const connection = await client.connect();
    const events = syntax
      .parseEvents('{task-clock:u,page-faults:u}')
      .map((event) => ({ ...event, readFormat: ['group'] as const }));
    const grant = await connection.open({ targets: [{ pid: process.pid, threads: 'leader' }], events });
    const leader = grant.events.find((event) => event.event === 0)!;
    leader.enable();
    const values = [...leader.read()].map(Number);
    await connection.close();
    return values;
  });
  t.is(words[0], 2);
  t.is(words.length, 3);
});

privileged('a raw perf_event_attr is accepted when every bit of it is known', async (t) => {
  const value = await runAs({ uid: ALICE, socket: daemon.socket }, async ({ client }) => {
    const attr = new Uint8Array(112);
    const view = new DataView(attr.buffer);
    view.setUint32(0, 1, true); // PERF_TYPE_SOFTWARE
    view.setUint32(4, 112, true);
    view.setBigUint64(8, 1n, true); // task-clock
    view.setBigUint64(40, 0x21n | (1n << 5n), true); // disabled, exclude_kernel
    const connection = await client.connect();
    const grant = await connection.open({ targets: [{ pid: process.pid, threads: 'leader' }], events: [{ attr }] });
    grant.events[0]!.enable();
    for (let i = 0; i < 1e7; i++);
    const [count] = grant.events[0]!.read();
    await connection.close();
    return Number(count);
  });
  t.true(value > 0);
});

privileged(
  'ListGrants shows only own grants, Revoke stops the events and reports the access that the client keeps',
  async (t) => {
    const victim = await startBusy(ALICE);
    t.teardown(() => victim.end());
    const result = await runAs(
      { uid: ALICE, socket: daemon.socket },
      async ({ client, syntax }, pid) => {
        const connection = await client.connect();
        const grant = await connection.open({ targets: [{ pid }], events: syntax.parseEvents('task-clock:u') });
        const event = grant.events[0]!;
        event.enable();
        const grants = await connection.listGrants();
        const revoked = await connection.revoke(grant.id);
        const first = event.read()[0]!;
        await new Promise((resolve) => setTimeout(resolve, 100));
        const second = event.read()[0]!;
        const after = await connection.listGrants();
        return { grants, revoked, still: Number(second - first), after };
      },
      victim.pid,
    );
    t.is(result.grants.length, 1);
    t.is(result.grants[0]!.uid, ALICE);
    t.is(result.still, 0, 'the event counts no more');
    t.like(result.revoked, { fds: 1, disabled: 1 });
    t.regex(result.revoked.kept, /keeps/);
    t.deepEqual(result.after, []);
  },
);

privileged("no user sees or revokes another user's grant, except for an administrator", async (t) => {
  const holder = runAs({ uid: ALICE, socket: daemon.socket }, async ({ client, syntax }) => {
    const connection = await client.connect();
    const grant = await connection.open({
      targets: [{ pid: process.pid }],
      events: syntax.parseEvents('task-clock:u'),
    });
    while ((await connection.listGrants()).some(({ id }) => id === grant.id))
      await new Promise((resolve) => setTimeout(resolve, 50));
    await connection.close();
  });
  const administrator = (): Promise<{ id: string; uid: number }[]> =>
    runAs({ uid: 0, socket: daemon.socket }, async ({ client }) => {
      const connection = await client.connect();
      return (await connection.listGrants({ all: true })).map(({ id, uid }) => ({ id, uid }));
    });
  let id: string | undefined;
  for (let tries = 0; id === undefined && tries < 20; tries++)
    id = (await administrator()).find(({ uid }) => uid === ALICE)?.id;
  t.truthy(id);
  const bob = (grant: string): Promise<unknown> =>
    runAs(
      { uid: BOB, socket: daemon.socket },
      async ({ client }, grantId) => (await client.connect()).revoke(grantId),
      grant,
    );
  await t.throwsAsync(bob(id!), { message: /no such grant/ });
  await t.throwsAsync(
    runAs({ uid: BOB, socket: daemon.socket }, async ({ client }) =>
      (await client.connect()).listGrants({ all: true }),
    ),
    { message: /administrator/ },
  );
  const revoked = await runAs(
    { uid: 0, socket: daemon.socket },
    async ({ client }, grant) => (await client.connect()).revoke(grant),
    id!,
  );
  t.true(revoked.fds >= 1);
  await holder;
});

privileged('a lease ends the grant and disables its events', async (t) => {
  const victim = await startBusy(ALICE);
  t.teardown(() => victim.end());
  const result = await runAs(
    { uid: ALICE, socket: daemon.socket },
    async ({ client, syntax }, pid) => {
      const connection = await client.connect();
      const grant = await connection.open({
        targets: [{ pid }],
        events: syntax.parseEvents('task-clock:u'),
        leaseSeconds: 1,
      });
      const event = grant.events[0]!;
      event.enable();
      await new Promise((resolve) => setTimeout(resolve, 1300));
      const first = event.read()[0]!;
      await new Promise((resolve) => setTimeout(resolve, 100));
      return {
        lease: grant.leaseSeconds,
        counted: Number(first),
        still: Number(event.read()[0]! - first),
        grants: await connection.listGrants(),
      };
    },
    victim.pid,
  );
  t.is(result.lease, 1);
  t.true(result.counted > 0);
  t.is(result.still, 0);
  t.deepEqual(result.grants, []);
});

privileged('a grant ends when its target does, and its fds are closed', async (t) => {
  const before = await settledFds(daemon.parts.broker);
  const victim = await startBusy(ALICE);
  const grants = runAs(
    { uid: ALICE, socket: daemon.socket },
    async ({ client, syntax }, pid) => {
      const connection = await client.connect();
      await connection.open({ targets: [{ pid }], events: syntax.parseEvents('task-clock:u') });
      process.kill(pid, 'SIGKILL');
      for (let tries = 0; tries < 50; tries++) {
        const live = await connection.listGrants();
        if (live.length === 0) return 'ended';
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      return 'still there';
    },
    victim.pid,
  );
  t.is(await grants, 'ended');
  await victim.end();
  await fdsBackTo(daemon.parts.broker, before);
});

privileged('root opens kernel-mode and system-wide events only where the ceiling has them', async (t) => {
  const ask = (socket: string): Promise<number> =>
    runAs({ uid: 0, socket }, async ({ client, syntax }) => {
      const connection = await client.connect();
      const grant = await connection.open({ targets: [{ system: true }], events: syntax.parseEvents('cpu-clock') });
      await connection.close();
      return grant.events.length;
    });
  await t.throwsAsync(ask(daemon.socket), { message: /ceiling/ });
  const open = await startDaemon({ args: ['--ceiling', 'all'] });
  t.teardown(() => open.stop());
  t.true((await ask(open.socket)) >= 1);
});

privileged('a tracepoint is opened by name, a cgroup by its directory', async (t) => {
  const open = await startDaemon({ args: ['--ceiling', 'all'] });
  t.teardown(() => open.stop());
  const result = await runAs({ uid: 0, socket: open.socket }, async ({ client, syntax }) => {
    const connection = await client.connect();
    const { tracepoints } = await connection.describe();
    const byName =
      tracepoints === 0
        ? null
        : await connection.open({ targets: [{ system: true }], events: syntax.parseEvents('sched:sched_switch') });
    const { existsSync } = await import('node:fs');
    const root = ['/sys/fs/cgroup/unified', '/sys/fs/cgroup'].find((path) => existsSync(`${path}/cgroup.controllers`));
    const byCgroup =
      root === undefined
        ? null
        : await connection.open({ targets: [{ cgroup: root }], events: syntax.parseEvents('cpu-clock') });
    const slots = [byName?.events.length ?? null, byCgroup?.events.length ?? null];
    await connection.close();
    return slots;
  });
  for (const [index, count] of result.entries()) {
    if (count === null) t.log(`${index === 0 ? 'tracefs' : 'cgroup2'} is not mounted here`);
    else t.true(count >= 1);
  }
});

privileged('the audit log records each decision: subject, request, verdict and rule', async (t) => {
  await runAs({ uid: ALICE, socket: daemon.socket }, async ({ client, syntax }) => {
    const connection = await client.connect();
    await connection.open({ targets: [{ pid: process.pid }], events: syntax.parseEvents('page-faults:u') });
    await connection.close();
  });
  const lines = daemon
    .audit()
    .filter((line) => line['action'] === 'open' && JSON.stringify(line['events']).includes('page-faults'));
  const last = lines.at(-1)!;
  t.like(last, { verdict: 'allow', rule: 'own' });
  t.like(last['subject'], { uid: ALICE });
  t.regex(String((last['targets'] as Record<string, unknown>[])[0]!['startTime']), /^\d+$/);
  t.regex(readFileSync(`${daemon.directory}/audit.log`, 'utf8'), /\n$/);
});

privileged('threads that start and end during the attach are not a failure', async (t) => {
  const failures = await runAs({ uid: ALICE, socket: daemon.socket }, async ({ client, syntax }) => {
    const { spawn } = await import('node:child_process');
    const churn =
      'import threading\nprint("ready",flush=True)\nwhile True:\n  t=threading.Thread(target=lambda:None); t.start(); t.join()';
    const child = spawn('python3', ['-c', churn], { stdio: ['ignore', 'pipe', 'ignore'] });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    const connection = await client.connect();
    const failed: string[] = [];
    for (let attempt = 0; attempt < 300; attempt++) {
      try {
        const grant = await connection.open({
          targets: [{ pid: child.pid! }],
          events: syntax.parseEvents('task-clock:u'),
        });
        await grant.close();
      } catch (error) {
        failed.push((error as Error).message);
      }
    }
    child.kill('SIGKILL');
    await connection.close();
    return failed;
  });
  t.deepEqual(failures, []);
});
