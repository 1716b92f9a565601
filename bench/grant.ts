/** (a) One grant, from the request to a usable fd, against the same hand-over between two C programs. */
import { join } from 'node:path';
import { encodeRequest } from '#dist/client/request.js';
import { native } from '#dist/native.js';
import type { Daemon } from '../test/e2e/daemon.js';
import { reportCpuTime } from './cpu_time.js';
import type { Programs } from './programs.js';
import { heading, ratioLine } from './report.js';
import { attrDigits, sampledEvent, startClient, startThreads, USER } from './setting.js';
import { median, type Pair } from './statistics.js';
import { Worker } from './worker.js';

/** Sizes of the request for one event and of its reply, between our client and broker, in bytes. */
function messageBytes(pid: number): { request: number; reply: number } {
  const { parameters, fds } = encodeRequest({ targets: [{ pid }], events: [sampledEvent()] });
  for (const fd of fds) native.close(fd);
  const call = { method: 'org.perfbroker.Broker.Open', parameters, more: true };
  const slots = [{ fd: 0, event: 0, target: 0, tid: pid, cpu: -1 }];
  const reply = { parameters: { grant: '0'.repeat(24), slots, unstable: false, leaseSeconds: 43200 } };
  return { request: JSON.stringify(call).length + 1, reply: JSON.stringify(reply).length + 1 };
}

export async function grantBenchmark(daemon: Daemon, programs: Programs, rounds: number): Promise<void> {
  const perRound = 300;
  const target = await startThreads(programs, 1);
  const { request, reply } = messageBytes(target.pid);
  const sizes = [String(request), String(reply)];
  const socket = join(programs.directory, 'hand_over.sock');
  const event = sampledEvent();
  const server = new Worker(programs.path('hand_over'), [
    'serve',
    socket,
    ...sizes,
    String(target.pid),
    attrDigits(event),
  ]);
  const workers = [target, server];
  try {
    await server.next();
    const baseline = new Worker(programs.path('hand_over'), ['ask', socket, ...sizes], { uid: USER });
    const ours = startClient(daemon.socket, target.pid);
    workers.push(baseline, ours);
    await baseline.times(perRound);
    for (let warm = 0; warm < 5; warm++) await ours.times(perRound);
    const pairs: Pair[] = [];
    for (let round = 0; round < rounds; round++) {
      const c = median(await baseline.times(perRound)) / 1000;
      pairs.push({ baseline: c, ours: median(await ours.times(perRound)) / 1000 });
    }
    heading(`(a) one grant, request (${request} bytes) to fd, against C to C: p50 of ${rounds} x ${perRound}`);
    ratioLine('one event of one process', pairs, 'us', 3);
    await reportCpuTime(daemon, ours, 1000);
  } finally {
    for (const worker of workers) await worker.end();
  }
}
