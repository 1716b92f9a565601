/** A daemon that is stopped while its socket stays, as `systemctl stop perfbroker.service` leaves it. */
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { native, READABLE, type Fd } from '#dist/native.js';
import { GrantWatch } from '#dist/bus/objects/grant_watch.js';
import { createLogger } from '#dist/common/logger.js';
import { ALICE, startAs } from '../e2e/as_user.js';
import { noPrivilege, OPEN_POLICY } from '../e2e/daemon.js';
import { startActivated } from './activated.js';

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test : test.skip;

privileged('the front end is notified that its grants have ended, and does not start the broker again', async (t) => {
  const activated = await startActivated(OPEN_POLICY);
  t.teardown(() => activated.end());
  const told: string[] = [];
  const watch = new GrantWatch(
    activated.socket,
    createLogger({ program: 'test', level: 'error' }),
    ({ change, reason: why }) => told.push(`${change} ${why}`.trim()),
  );
  t.teardown(() => watch.close());
  // The watch is older than what it watches, and so is its connection.
  watch.ensure();
  while (!activated.log().includes('serving on')) await sleep(20);
  await sleep(200);
  const holder = startAs({ uid: ALICE, socket: activated.socket }, async ({ client, syntax }) => {
    const connection = await client.connect();
    await connection.open({ targets: [{ pid: process.pid }], events: syntax.parseEvents('task-clock:u') });
    await new Promise((resolve) => setTimeout(resolve, 60_000));
  });
  t.teardown(() => holder.child.kill('SIGKILL'));
  holder.result.catch(() => undefined);
  while (watch.size === 0) await sleep(20);
  process.kill(Number(activated.events[1]?.split(' ')[1]), 'SIGTERM');
  await activated.ended(1);
  await sleep(500);
  t.deepEqual(told, ['added', 'removed shutdown']);
  t.is(activated.events.length, 3, activated.events.join());
  t.is(activated.events[2], 'ended 0');
});

/** A reply's text, or '' when the connection ended without one. */
async function reply(socket: Fd): Promise<string> {
  await new Promise<void>((resolve) => {
    const poller = native.createPoller(socket, () => {
      poller.close();
      resolve();
    });
    poller.start(READABLE);
  });
  const into = new Uint8Array(65_536);
  return Buffer.from(into.subarray(0, native.receiveMessage(socket, into)?.bytes)).toString();
}

function describe(socket: Fd): Promise<string> {
  native.sendMessage(socket, Buffer.from('{"method":"org.perfbroker.Broker.Describe"}\0'), []);
  return reply(socket);
}

privileged(
  'a client that connected before the end begins, and asks after that, is answered before the end',
  async (t) => {
    const activated = await startActivated(OPEN_POLICY);
    t.teardown(() => activated.end());
    const [early, later, silent] = [1, 2, 3].map(() => native.connectUnix(activated.socket)) as [Fd, Fd, Fd];
    t.teardown(() => [early, later, silent].forEach((socket) => native.close(socket)));
    // In order of arrival: all that came before this one have been accepted as well.
    const last = native.connectUnix(activated.socket);
    t.teardown(() => native.close(last));
    t.regex(await describe(last), /"version"/);
    process.kill(Number(activated.events[1]?.split(' ')[1]), 'SIGTERM');
    while (!activated.log().includes('ending')) await sleep(5);
    t.regex(await describe(early), /"version"/);
    await sleep(100);
    t.regex(await describe(later), /"version"/);
    // A client that sends nothing does not delay the exit.
    await activated.ended(1);
    t.is(await reply(silent), '');
    t.deepEqual(activated.events.slice(2), ['ended 0']);
  },
);
