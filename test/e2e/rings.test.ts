/** Rings that the opener maps in advance, and lets go of again. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { ALICE, runAs } from './as_user.js';
import { noPrivilege, startDaemon } from './daemon.js';
import { fdsBackTo, settledFds } from '../tools/fds_of.js';

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test.serial : test.serial.skip;

const ringsOf = (opener: number): number =>
  readFileSync(`/proc/${opener}/maps`, 'latin1')
    .split('\n')
    .filter((line) => line.includes('perf_event')).length;

privileged('more rings than requests may wait all go when their client does', async (t) => {
  const daemon = await startDaemon();
  t.teardown(() => daemon.stop());
  const { broker, opener } = daemon.parts;
  const before = await settledFds(broker);
  const mapped = ringsOf(opener);
  const opened = await runAs({ uid: ALICE, socket: daemon.socket }, async ({ client, syntax }) => {
    const connection = await client.connect();
    const targets = Array.from({ length: 250 }, () => ({ pid: process.pid, threads: 'leader' as const }));
    const events = syntax.parseEvents('task-clock:u');
    let slots = 0;
    for (let i = 0; i < 3; i++) slots += (await connection.open({ targets, events, ringBytes: 4096 })).events.length;
    return slots;
  });
  t.is(opened, 750, 'each of them mapped in advance');
  for (let tries = 0; tries < 1000 && ringsOf(opener) > mapped; tries++) await sleep(20);
  t.is(ringsOf(opener), mapped);
  await fdsBackTo(broker, before);
});
