/** A broker that has reached its limit of open files answers with that limit, not with a bug. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { connect } from '#dist/client/index.js';
import { parseEvents } from '#dist/model/events/syntax/event_syntax.js';
import { settledFds } from '../tools/fds_of.js';
import { noPrivilege, startDaemon, type Daemon } from './daemon.js';

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test.serial : test.serial.skip;

let daemon: Daemon;
test.before(async () => {
  if (reason === null) daemon = await startDaemon({ args: ['--with-tracer'] });
});
test.after.always(async () => {
  if (reason === null) await daemon.stop();
});

const NO_ROOM = { error: 'KernelRefused', code: 'EMFILE', errno: 24 };

/** Sets the soft limit of open files of the broker until the test ends: no fd gets `limit` or a larger number. */
function limitFds(t: ExecutionContext, limit: number): void {
  const { broker } = daemon.parts;
  const status = readFileSync(`/proc/${broker}/status`, 'utf8');
  const [uid, gid] = ['Uid', 'Gid'].map((name) => new RegExp(`^${name}:\\t(\\d+)`, 'm').exec(status)?.[1]);
  // As the broker's user: prlimit(2) of other ids needs CAP_SYS_RESOURCE, which root of a container may not have.
  const prlimit = (nofile: string): string => {
    const ids = [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'];
    const run = spawnSync('setpriv', [...ids, 'prlimit', '--pid', `${broker}`, ...nofile.split(' ')], {
      encoding: 'utf8',
    });
    if (run.status !== 0) throw new Error(run.stderr);
    return run.stdout.trim();
  };
  const before = prlimit('--nofile --noheadings --raw --output=SOFT');
  t.teardown(() => prlimit(`--nofile=${before}:`));
  prlimit(`--nofile=${limit}:`);
}

function lowestFree(pid: number): number {
  const taken = new Set(readdirSync(`/proc/${pid}/fd`).map(Number));
  let fd = 0;
  while (taken.has(fd)) fd += 1;
  return fd;
}

privileged('a request is refused with EMFILE while the broker has no room for an fd', async (t) => {
  const client = await connect({ socket: daemon.socket });
  t.teardown(() => client.close());
  await client.describe();
  const targets = [{ pid: process.pid }];
  const events = parseEvents('task-clock:u');
  await settledFds(daemon.parts.broker);
  limitFds(t, lowestFree(daemon.parts.broker) + 1); // for the pidfd that comes with a request
  const from = daemon.log().length;
  for (const request of [
    () => client.explain({ targets, events }),
    () => client.open({ targets, events }),
    () => client.downgrade({ target: { pid: process.pid }, drop: ['CAP_NET_RAW'], dryRun: true }),
  ]) {
    const error = await t.throwsAsync(request);
    t.like(error, { ...NO_ROOM, message: 'the broker has no room for another fd: open refused with EMFILE' });
  }
  t.notRegex(daemon.log().slice(from), / {4}at /, 'a stack');
});

privileged('a client receives EMFILE when the broker has no fd left to identify it', async (t) => {
  await settledFds(daemon.parts.broker);
  limitFds(t, lowestFree(daemon.parts.broker) + 1); // for the connection itself
  const error = await t.throwsAsync(async () => {
    const client = await connect({ socket: daemon.socket });
    t.teardown(() => client.close());
    await client.describe();
  });
  t.like(error, NO_ROOM);
});
