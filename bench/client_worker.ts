/**
 * A collector of the benchmark, one connection to the broker: client_worker.js PID CPUS COPIES
 * For each count on standard input, so many times in nanoseconds from the call of open to usable fds; they are closed and
 * the grant is given back outside of what is timed.
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
