/**
 * A collector of the benchmark, one connection to the broker: client_worker.js PID CPUS COPIES
 * For each count N on standard input, prints N times in nanoseconds, each from the call of open to usable fds. Closing the
 * fds and releasing the grant is not timed.
 */
import { createInterface } from 'node:readline';
import { connect } from '#dist/client/index.js';
import { sampledEvent } from './setting.js';

const [pid = 0, cpus = 0, copies = 1] = process.argv.slice(2).map(Number);
const client = await connect();
const event = sampledEvent();
const request = {
  targets: [{ pid }],
  events: Array.from({ length: copies }, () => event),
  ...(cpus === 0 ? {} : { cpus: Array.from({ length: cpus }, (_, cpu) => cpu) }),
};
for await (const line of createInterface({ input: process.stdin })) {
  const times: number[] = [];
  for (let count = Number(line); count > 0; count--) {
    const before = process.hrtime.bigint();
    const grant = await client.open(request);
    times.push(Number(process.hrtime.bigint() - before));
    if (grant.events[0] === undefined || grant.events[0].closed) throw new Error('no event came');
    await grant.close();
  }
  console.log(JSON.stringify(times));
}
await client.close();
