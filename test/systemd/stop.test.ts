/** A daemon that is told to end while its socket stays, as `systemctl stop perfbroker.service` leaves it. */
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { GrantWatch } from '#dist/bus/grant_watch.js';
import { createLog } from '#dist/bus/log.js';
import { ALICE, startAs } from '../e2e/as_user.js';
import { noPrivilege, OPEN_POLICY } from '../e2e/daemon.js';
import { startActivated } from './activated.js';

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test : test.skip;

privileged('the front end hears that its grants have ended, and does not start it again', async (t) => {
  const activated = await startActivated(OPEN_POLICY);
  t.teardown(() => activated.end());
  const told: string[] = [];
  const watch = new GrantWatch(activated.socket, createLog('error', false), ({ change, reason: why }) =>
    told.push(`${change} ${why}`.trim()),
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
