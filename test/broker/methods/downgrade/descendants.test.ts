import { spawn } from 'node:child_process';
import { once } from 'node:events';
import test, { type ExecutionContext } from 'ava';
import { pinDescendants } from '#dist/broker/methods/downgrade/descendants.js';
import { releaseTargets, type ProcessTarget } from '#dist/broker/processes/targets.js';
import { readProcess } from '#dist/broker/processes/proc.js';
import { native } from '#dist/native.js';
import { FakeClient, newWork, settledFds } from '../fakes.js';

/** A shell and its child. */
async function family(t: ExecutionContext): Promise<readonly [parent: number, child: number]> {
  const shell = spawn('sh', ['-c', 'sleep 60 & echo $!; wait'], { stdio: ['ignore', 'pipe', 'ignore'] });
  const [line] = (await once(shell.stdout, 'data')) as [Buffer];
  const child = Number(line.toString('utf8'));
  t.teardown(() => {
    shell.kill('SIGKILL');
    process.kill(child, 'SIGKILL');
  });
  return [shell.pid ?? 0, child];
}

function pin(pid: number): ProcessTarget {
  const facts = readProcess(pid);
  if (facts === null) throw new Error(`process ${pid} has ended`);
  return { kind: 'process', fd: native.pidfdOpen(pid), tid: null, process: facts };
}

test.serial('children and grandchildren are pinned once, parents before children', async (t) => {
  const [parent, child] = await family(t);
  const before = await settledFds();
  const ancestor = pin(process.pid);
  const work = newWork(new FakeClient());
  const found = await pinDescendants([ancestor], work);
  const pids = found.map(({ process: { pid } }) => pid);
  t.true(pids.includes(parent) && pids.indexOf(child) > pids.indexOf(parent), pids.join());
  t.false(pids.includes(process.pid));
  t.deepEqual(await pinDescendants([ancestor, ...found], work), []);
  releaseTargets([ancestor, ...found]);
  t.is(await settledFds(), before);
});

test.serial('256 descendants are pinned, and one more is refused', async (t) => {
  const [parent] = await family(t);
  const ancestor = pin(parent);
  const work = newWork(new FakeClient());
  // Descendants of earlier walks, with pids above pid_max.
  const earlier = Array.from({ length: 256 }, (_, index) => ({
    ...ancestor,
    process: { ...ancestor.process, pid: 5_000_000 + index },
  }));
  const before = await settledFds();
  const found = await pinDescendants([ancestor, ...earlier.slice(1)], work);
  t.is(found.length, 1);
  releaseTargets(found);
  t.like(await t.throwsAsync(pinDescendants([ancestor, ...earlier], work)), {
    error: 'DowngradeRefused',
    code: 'too-many-processes',
  });
  t.is(await settledFds(), before);
  releaseTargets([ancestor]);
});

test.serial('processes under other uids are left out', async (t) => {
  const [parent, child] = await family(t);
  const ancestor = pin(parent);
  const other = { ...ancestor, process: { ...ancestor.process, uids: [4711, 4711, 4711] } } as ProcessTarget;
  const work = newWork(new FakeClient());
  t.deepEqual(await pinDescendants([other], work), []);
  const found = await pinDescendants([ancestor], work);
  t.deepEqual(
    found.map(({ process: { pid } }) => pid),
    [child],
  );
  releaseTargets([ancestor, ...found]);
});
