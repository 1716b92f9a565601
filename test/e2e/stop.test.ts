/** Answers of a broker that is shutting down: they arrive complete, and the events in them work. */
import { writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import type * as ClientChannel from '#dist/client/channel.js';
import { ALICE, BOB, readableTree, startAs } from './as_user.js';
import {
  continueHelper,
  type Daemon,
  noPrivilege,
  OPEN_POLICY,
  requestDecided,
  startDaemon,
  stopHelper,
} from './daemon.js';
import { startBusy } from './target.js';
import { openFds, settledFds } from '../tools/fds_of.js';

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test : test.skip;

/** Ends the daemon while a decided request waits for the opener, which then goes on. */
async function endBehind(daemon: Daemon, request: () => unknown): Promise<void> {
  const { opener, monitor, broker } = daemon.parts;
  const before = await settledFds(broker);
  stopHelper(opener);
  request();
  await requestDecided(broker, before);
  process.kill(monitor, 'SIGTERM');
  while (!daemon.log().includes('ending')) await sleep(5);
  continueHelper(opener);
}

/** Ends the daemon as soon as a client has connected since `before` was counted; then creates the file `flag`. */
async function endOnceConnected(daemon: Daemon, before: number, flag: string): Promise<void> {
  while (openFds(daemon.parts.broker) <= before) await sleep(1);
  process.kill(daemon.parts.monitor, 'SIGTERM');
  while (!daemon.log().includes('ending')) await sleep(1);
  writeFileSync(flag, '');
}

privileged(
  'an Open that is answered during a stop arrives whole, even if its fds do not fit the socket at once',
  async (t) => {
    const daemon = await startDaemon({ policy: OPEN_POLICY.replace('fds = 1024', 'fds = 4096') });
    t.teardown(() => daemon.stop());
    let result: Promise<number> | undefined;
    await endBehind(daemon, () => {
      result = startAs({ uid: ALICE, socket: daemon.socket, ulimit: '-n 8192' }, async ({ client, syntax }) => {
        const connection = await client.connect();
        const targets = Array.from({ length: 250 }, () => ({ pid: process.pid, threads: 'leader' as const }));
        const events = syntax.parseEvents(
          'task-clock:u,cpu-clock:u,page-faults:u,task-clock:u,cpu-clock:u,page-faults:u',
        );
        return (await connection.open({ targets, events })).events.length;
      }).result;
    });
    t.is(await result, 1500);
    t.is((await daemon.exit).code, 0, daemon.log());
  },
);

privileged(
  'rings of an Open that is answered during a stop can be mapped without memlock, and reported as mapped',
  async (t) => {
    const daemon = await startDaemon();
    t.teardown(() => daemon.stop());
    const busy = await startBusy(ALICE);
    t.teardown(() => busy.end());
    let result: Promise<string> | undefined;
    await endBehind(daemon, () => {
      result = startAs(
        { uid: ALICE, socket: daemon.socket, ulimit: '-l 0' },
        async ({ client, syntax }, pid) => {
          const connection = await client.connect();
          const ringBytes = 4 << 20;
          const targets = [{ pid, threads: 'leader' as const }];
          const grant = await connection.open({ targets, events: syntax.parseEvents('task-clock:u'), ringBytes });
          await new Promise((resolve) => setTimeout(resolve, 100));
          new client.RingReader(grant.events[0]!.fd, ringBytes / 4096);
          await grant.mapped();
          return 'mapped';
        },
        busy.pid,
      ).result;
    });
    t.is(await result, 'mapped');
    t.is((await daemon.exit).code, 0, daemon.log());
  },
);

privileged(
  'a request that a helper keeps waiting is answered, and the ends of other grants are recorded',
  async (t) => {
    const daemon = await startDaemon();
    t.teardown(() => daemon.stop());
    const { opener, monitor, broker } = daemon.parts;
    const open = async (
      { client, syntax }: Parameters<Parameters<typeof startAs>[1]>[0],
      hold: boolean,
    ): Promise<string> => {
      const connection = await client.connect();
      const targets = [{ pid: process.pid, threads: 'leader' as const }];
      const code = ({ code: name }: { code: string }): string => name;
      const opened = await connection
        .open({ targets, events: syntax.parseEvents('task-clock:u') })
        .then(() => 'open', code);
      if (hold) await new Promise((resolve) => setTimeout(resolve, 600_000));
      return opened;
    };
    const holder = startAs({ uid: BOB, socket: daemon.socket }, open, true);
    holder.result.catch(() => undefined);
    t.teardown(() => holder.child.kill('SIGKILL'));
    while (!daemon.audit().some(({ action }) => action === 'open')) await sleep(10);
    const before = await settledFds(broker);
    stopHelper(opener);
    const waiting = startAs({ uid: ALICE, socket: daemon.socket }, open, false);
    await requestDecided(broker, before);
    process.kill(monitor, 'SIGTERM');
    t.is(await waiting.result, 'shutting-down');
    while (!daemon.audit().some(({ action }) => action === 'end')) await sleep(10);
    continueHelper(opener);
    t.is((await daemon.exit).code, 0, daemon.log());
    t.like(
      daemon.audit().find(({ action }) => action === 'end'),
      { reason: 'shutdown', subject: { uid: BOB } },
    );
  },
);

/** A program that connects, and makes its calls once the broker ends. @returns the last answer, or the code of an error */
async function callDuringStop(t: ExecutionContext): Promise<string> {
  const daemon = await startDaemon();
  t.teardown(() => daemon.stop());
  const flag = `${daemon.socket}.ending`;
  const before = await settledFds(daemon.parts.broker);
  const { result } = startAs(
    { uid: ALICE, socket: daemon.socket },
    async ({ client, syntax }, ending) => {
      const { existsSync: exists } = await import('node:fs');
      const connection = await client.connect();
      while (!exists(ending)) await new Promise((resolve) => setTimeout(resolve, 5));
      try {
        await connection.describe();
        const targets = [{ pid: process.pid, threads: 'leader' as const }];
        const request = { targets, events: syntax.parseEvents('task-clock:u') };
        const { verdict } = await connection.explain(request);
        return `${verdict} ${(await connection.open(request)).events.length}`;
      } catch (error) {
        return (error as { code: string }).code;
      }
    },
    flag,
  );
  await endOnceConnected(daemon, before, flag);
  const answer = await result;
  t.is((await daemon.exit).code, 0, daemon.log());
  return answer;
}

privileged('a program that has just begun makes several calls', async (t) => {
  // A busy machine can leave the program without a processor for longer than the broker waits for its next call.
  let answer = '';
  for (let attempt = 0; attempt < 10 && answer !== 'allow 1'; attempt++) {
    answer = await callDuringStop(t);
    t.regex(answer, /^(allow 1|shutting-down|connection-lost)$/);
  }
  t.is(answer, 'allow 1');
});

privileged('a broker that is stopping issues no ticket, because tickets end with it', async (t) => {
  const FRONT_END = 60913;
  const daemon = await startDaemon();
  t.teardown(() => daemon.stop());
  const busy = await startBusy(ALICE);
  t.teardown(() => busy.end());
  const flag = `${daemon.socket}.ending`;
  const before = await settledFds(daemon.parts.broker);
  const { result } = startAs(
    { uid: FRONT_END, socket: daemon.socket },
    async ({ native }, tree, pid, uid, ending) => {
      const { existsSync: exists } = await import('node:fs');
      const { Channel } = (await import(`${tree}/dist/client/channel.js`)) as typeof ClientChannel;
      const channel = new Channel(native.connectUnix(process.env['PERFBROKER_SOCKET']!));
      while (!exists(ending)) await new Promise((resolve) => setTimeout(resolve, 5));
      const event = { source: { kind: 'software', name: 'task-clock' }, exclude: ['kernel', 'hv'] };
      const sender = { uid, pidfd: 0, busName: ':1.5' };
      const parameters = { targets: [{ kind: 'process', pid }], events: [event], sender };
      try {
        await channel.call('PrepareOpen', parameters, { fds: [native.pidfdOpen(pid)], timeoutMs: 5000 });
        return 'a ticket';
      } catch (error) {
        return (error as { code: string }).code;
      }
    },
    readableTree(),
    busy.pid,
    ALICE,
    flag,
  );
  await endOnceConnected(daemon, before, flag);
  t.is(await result, 'shutting-down');
});

privileged('clients in the backlog are answered when no other process has the listener', async (t) => {
  const daemon = await startDaemon();
  t.teardown(() => daemon.stop());
  const { broker, monitor } = daemon.parts;
  process.kill(broker, 'SIGSTOP');
  const answers = Array.from(
    { length: 60 },
    () =>
      new Promise<string>((resolve) => {
        const socket = createConnection(daemon.socket, () =>
          socket.write('{"method":"org.perfbroker.Broker.Describe"}\0'),
        );
        socket.once('data', (data) => {
          socket.end();
          resolve(/"version"|RateLimited/.exec(data.toString())?.[0] ?? data.toString());
        });
        socket.once('error', (error) => resolve(error.message));
        socket.once('close', () => resolve('closed'));
      }),
  );
  await sleep(200); // they are in the backlog
  process.kill(monitor, 'SIGTERM');
  await sleep(50);
  process.kill(broker, 'SIGCONT');
  // Root may make 60 calls at once, or gets an error for those above its rate.
  for (const answer of await Promise.all(answers)) t.regex(answer, /"version"|RateLimited/);
  t.is((await daemon.exit).code, 0, daemon.log());
});
