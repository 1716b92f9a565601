import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import type { Caller } from '#dist/broker/processes/caller.js';
import { Rates } from '#dist/broker/fairness/rates.js';
import { pinTargets, recheckTargets, releaseTargets } from '#dist/broker/processes/targets.js';
import { Turns } from '#dist/broker/fairness/turns.js';
import { Work } from '#dist/broker/fairness/work.js';
import { FdBag } from '#dist/varlink/fd_bag.js';

/** Work of which every step takes longer than a turn. */
function slowWork(client: { closed: boolean }): Work {
  let now = 0;
  const clocks = { now: (): number => (now += 10), cpu: () => 0 };
  const rates = new Rates({ requestsPerSecond: 1, burst: 1 }, { userOf: ({ uid }) => uid }, 1);
  return new Work({
    client: Object.assign(client, { watchHangup: () => undefined }),
    rates,
    turns: new Turns(),
    clocks,
  });
}

function callerWith(work: Work): Pick<Caller, 'peer' | 'work'> {
  const subject = {
    pid: process.pid,
    startTime: 1n,
    uid: 0,
    gid: 0,
    groups: [],
    permitted: 0n,
    sameUserNamespace: true,
    mayBeMany: false,
    asConnected: true,
    ownIds: true,
    dumpable: true,
    cgroup: '/',
    executable: '[node]',
  };
  return { peer: { subject, samePidNamespace: true }, work };
}

async function sleeper(t: ExecutionContext): Promise<ChildProcess & { readonly pid: number }> {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child, 'spawn');
  return child as ChildProcess & { readonly pid: number };
}

function pidfds(): number {
  return readdirSync('/proc/self/fd').length;
}

test.serial('a process that a request names several times is read once, and pinned each time', async (t) => {
  const work = slowWork({ closed: false });
  const { pid } = await sleeper(t);
  const named = { kind: 'process' as const, pid };
  const other = { kind: 'process' as const, pid: process.pid };
  const targets = await pinTargets([named, other, { ...named, threads: 'leader' }], new FdBag([]), callerWith(work));
  const [first, second, third] = targets;
  if (first?.kind !== 'process' || second?.kind !== 'process' || third?.kind !== 'process') return t.fail();
  t.is(first.process, third.process);
  t.not(first.process, second.process);
  t.not(first.fd, third.fd);
  t.deepEqual([first.tid, third.tid], [null, pid]);
  await t.notThrowsAsync(recheckTargets(targets, work));
  releaseTargets(targets);
});

test.serial('a request lets others go on between its targets', async (t) => {
  const target = { kind: 'process' as const, pid: process.pid };
  let passes = 0;
  const count = (): void => {
    passes += 1;
    if (passes < 100) setImmediate(count);
  };
  setImmediate(count);
  const pinned = await pinTargets(
    [target, target, target, target],
    new FdBag([]),
    callerWith(slowWork({ closed: false })),
  );
  t.true(passes >= 3 && passes < 100, `${passes} passes`);
  passes = 100;
  releaseTargets(pinned);
});

test.serial('a request whose client disconnects, or whose last target is invalid, releases its targets', async (t) => {
  const target = { kind: 'process' as const, pid: process.pid };
  const before = pidfds();
  const client = { closed: false };
  const pinning = pinTargets([target, target, target], new FdBag([]), callerWith(slowWork(client)));
  t.true(pidfds() > before);
  client.closed = true;
  t.like(await t.throwsAsync(pinning), { error: 'TargetGone', code: 'client-gone' });
  t.is(pidfds(), before);
  const gone = { kind: 'process' as const, pid: 0x7fff_fff0 };
  const failing = pinTargets([target, target, gone], new FdBag([]), callerWith(slowWork({ closed: false })));
  t.like(await t.throwsAsync(failing), { error: 'TargetGone', code: 'no-such-process' });
  t.is(pidfds(), before);
});
