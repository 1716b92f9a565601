import { openSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { vetOpen, type VettedOpen } from '#dist/broker/methods/open/request.js';
import { releaseTargets } from '#dist/broker/processes/targets.js';
import type { Fd } from '#dist/native.js';
import { FdBag } from '#dist/varlink/fd_bag.js';
import { CLOCK, FakeBroker, FakeClient, newWork, settledFds } from '../fakes.js';

const TARGET = { kind: 'process', pid: process.pid, threads: 'leader' } as const;

function vet(broker: FakeBroker, parameters: object, fds: readonly Fd[] = []): Promise<VettedOpen> {
  const client = new FakeClient();
  const caller = { peer: client.peer, busName: null, work: newWork(client) };
  return vetOpen(broker, caller, { targets: [TARGET], events: [CLOCK], ...parameters } as never, {
    fds: new FdBag(fds),
    more: false,
  });
}

async function refused(t: ExecutionContext, broker: FakeBroker, parameters: object, fds: Fd[] = []): Promise<string> {
  const before = await settledFds();
  const error = await t.throwsAsync(vet(broker, parameters, fds));
  t.is(await settledFds(), before);
  const { error: name, code } = error as unknown as { readonly error: string; readonly code: string };
  return `${name} ${code}`;
}

test.serial('the cpus that are online are read for each request', async (t) => {
  const broker = new FakeBroker(t);
  const cpus = [0, 2];
  t.is(await refused(t, broker, { cpus }), 'InvalidTarget no-such-cpu');
  broker.onlineCpus = [0, 1, 2];
  const vetted = await vet(broker, { cpus });
  t.deepEqual(vetted.cpus, cpus);
  releaseTargets(vetted.targets);
  broker.onlineCpus = [0, 1];
  t.is(await refused(t, broker, { cpus }), 'InvalidTarget no-such-cpu');
});

test.serial('events without a process and without cpus are opened on those that are online now', async (t) => {
  const broker = new FakeBroker(t);
  const targets = [{ kind: 'system' }];
  t.deepEqual((await vet(broker, { targets })).cpus, [0, 1]);
  broker.onlineCpus = [0];
  t.deepEqual((await vet(broker, { targets })).cpus, [0]);
});

test.serial('a request is refused for its fds, lease, cpus or rings, and holds no target then', async (t) => {
  const broker = new FakeBroker(t);
  t.is(await refused(t, broker, { leaseSeconds: -1 }), 'InvalidTarget bad-value');
  t.is(await refused(t, broker, { cpus: [] }), 'InvalidTarget bad-value');
  t.is(await refused(t, broker, { cpus: [0, 0] }), 'InvalidTarget bad-value');
  t.is(await refused(t, broker, { ringBytes: 4095 }), 'InvalidTarget ring-size');
  t.is(await refused(t, broker, { ringBytes: 3 * 4096 }), 'InvalidTarget ring-size');
  t.is(await refused(t, broker, { ringSlots: 'each' }), 'InvalidTarget ring-size');
  const inherited = [{ ...CLOCK, inherit: true }];
  t.is(await refused(t, broker, { events: inherited, ringBytes: 4096 }), 'InvalidTarget cpus-needed');
  t.is(await refused(t, broker, { downgrade: { drop: ['all'] } }), 'DowngradeRefused target-kind');
  const fd = openSync('/dev/null', 'r');
  t.is(await refused(t, broker, {}, [fd]), 'UnexpectedFds unused');
});

test.serial('rings are counted once for each slot or for each cpu', async (t) => {
  const broker = new FakeBroker(t);
  const request = { targets: [TARGET, TARGET], cpus: [0, 1], ringBytes: 8192 };
  for (const [ringSlots, rings] of [
    ['each', 4],
    ['cpu', 2],
  ] as const) {
    const vetted = await vet(broker, { ...request, ringSlots });
    t.like(vetted, { ringCount: rings, ringPages: 2, policy: { fds: 4, ringBytes: rings * 8192 } });
    releaseTargets(vetted.targets);
  }
});
