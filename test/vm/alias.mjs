/**
 * Run by a user: maps the ring of one event through another, says that its rings are mapped, and gives the grant back, again and
 * again. Prints how many rings of 16 MiB it holds at the end, and whether it gets another one when it has unmapped them.
 */
import { openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
const root = process.argv[2];
const { connect } = await import(`${root}/dist/client/index.js`);
const { native } = await import(`${root}/dist/native.js`);
const { parseEvents } = await import(`${root}/dist/model/events/syntax/event_syntax.js`);

const RING = 16 << 20;
const [event] = parseEvents('task-clock:u');
const events = [0, 1].map(() => ({ ...event, sampling: { frequency: 100 }, sampleType: ['ip'] }));
const connection = await connect();
const kept = [];
let last;
try {
  for (let round = 0; round < 4; round++) {
    const targets = [{ pid: process.pid, threads: 'leader' }];
    const grant = await connection.open({ targets, events, cpus: [0], ringBytes: RING, ringSlots: 'cpu' });
    last = grant;
    const [first, second] = grant.events;
    native.perfSetOutput(second.fd, first.fd);
    const drain = native.createDrain(openSync('/dev/null', 'w'));
    drain.addRing(second.fd, RING / 4096);
    kept.push(drain);
    await grant.mapped();
    await connection.revoke(grant.id);
    for (const { fd } of grant.events) native.close(fd);
    await sleep(1500);
  }
} catch (error) {
  console.log(error.code ?? error.message);
  await connection.revoke(last.id).catch(() => undefined); // where it was not come to
}
console.log(`${kept.length} rings`);
for (const drain of kept) drain.close();
for (let tries = 0; tries < 20; tries++) {
  await sleep(500);
  const targets = [{ pid: process.pid, threads: 'leader' }];
  const again = await connection
    .open({ targets, events, cpus: [0], ringBytes: RING, ringSlots: 'cpu' })
    .catch(() => null);
  if (again === null) continue;
  console.log('released');
  break;
}
process.exit(0);
