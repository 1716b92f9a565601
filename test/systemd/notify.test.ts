/** Notifications from a real daemon to its service manager. */
import { setTimeout as sleep } from 'node:timers/promises';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import test from 'ava';
import { startDatagramReader } from '../broker/datagram_reader.js';
import { ALICE, runAs } from '../e2e/as_user.js';
import { continueHelper, noPrivilege, OPEN_POLICY, startDaemon, stopHelper } from '../e2e/daemon.js';

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test : test.skip;

privileged('ready, grants as they come and go, a reload that fails, and the end', async (t) => {
  const manager = await startDatagramReader();
  t.teardown(() => manager.end());
  chmodSync(dirname(manager.path), 0o755);
  chmodSync(manager.path, 0o666);
  const daemon = await startDaemon({ env: { NOTIFY_SOCKET: manager.path, SECRET: 'x' } });
  t.teardown(() => daemon.stop());
  t.is(
    await manager.seen((text) => text.startsWith('READY=1')),
    `READY=1\nSTATUS=0 grants of 0 users, 0 fds; policy ${daemon.policyFile}`,
  );
  const environment = readFileSync(`/proc/${daemon.parts.broker}/environ`, 'latin1').split('\0').filter(Boolean).sort();
  t.deepEqual(
    environment.map((entry) => entry.slice(0, entry.indexOf('='))),
    ['HOME', 'LANG', 'NOTIFY_SOCKET', 'PATH'],
  );
  await runAs({ uid: ALICE, socket: daemon.socket }, async ({ client, syntax }) => {
    const connection = await client.connect();
    await connection.open({
      targets: [{ pid: process.pid, threads: 'leader' }],
      events: syntax.parseEvents('task-clock:u'),
    });
    await new Promise((resolve) => setTimeout(resolve, 100));
  });
  await manager.seen((text) => text.startsWith('STATUS=1 grant of 1 user, 1 fd; '));
  await manager.seen((text) => text.startsWith('STATUS=0 grants of 0 users, 0 fds; '));
  writeFileSync(daemon.policyFile, `${OPEN_POLICY}\nbroken = 1\n`);
  daemon.child.kill('SIGHUP');
  await manager.seen((text) => text.startsWith('READY=1') && text.includes('the reload failed'));
  const at = manager.received.findIndex((text) => text.startsWith('RELOADING=1\nMONOTONIC_USEC='));
  t.true(at > 0 && manager.received[at + 1]!.startsWith('READY=1'), 'reloading, then ready');
  await daemon.stop();
  await manager.seen((text) => text.startsWith('STOPPING=1'));
});

privileged('the watchdog is fed, and not while the opener is stuck', async (t) => {
  const manager = await startDatagramReader();
  t.teardown(() => manager.end());
  chmodSync(dirname(manager.path), 0o755);
  chmodSync(manager.path, 0o666);
  const daemon = await startDaemon({ env: { NOTIFY_SOCKET: manager.path, WATCHDOG_USEC: '400000' } });
  t.teardown(() => daemon.stop());
  const fed = (): number => manager.received.filter((text) => text === 'WATCHDOG=1').length;
  for (let tries = 0; tries < 200 && fed() < 4; tries++) await sleep(50);
  t.true(fed() >= 4, `${fed()} times`);
  stopHelper(daemon.parts.opener);
  await sleep(300);
  const before = fed();
  await sleep(1000);
  t.is(fed(), before);
  continueHelper(daemon.parts.opener);
  for (let tries = 0; tries < 200 && fed() <= before; tries++) await sleep(50);
  t.true(fed() > before);
});

privileged('without a service manager it has none of these variables and wakes up for nothing', async (t) => {
  const daemon = await startDaemon({ env: { WATCHDOG_USEC: '100000' } });
  t.teardown(() => daemon.stop());
  const switches = (): string =>
    /^voluntary_ctxt_switches:\s+(\d+)$/m.exec(readFileSync(`/proc/${daemon.parts.broker}/status`, 'latin1'))?.[1] ??
    '';
  // node compiles and collects a little after start, on a busy machine later than on an idle one.
  let before = '';
  for (let tries = 0; tries < 10 && before !== switches(); tries++) {
    before = switches();
    await sleep(1500);
  }
  t.is(switches(), before);
});
