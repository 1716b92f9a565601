/** Every kind of no, with its error, cause and remedy. */
import { spawnSync } from 'node:child_process';
import { existsSync, readlinkSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { ALICE, BOB, runAs, type World } from './as_user.js';
import { noPrivilege, skip, startDaemon, type Daemon } from './daemon.js';
import { PYTHON } from './lingering.js';
import { start, startBusy } from './target.js';

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test : test.skip;

/** Has its quotas for itself while the other tests run. */
const CAROL = 60126;

const POLICY = `
[[rule]]
name = "own"
verdict = "allow"
subjects = { users = [${ALICE}, ${CAROL}] }
targets = { same_user = true }
classes = ["user"]
limits = { frequency = 1000, ring = "1 MiB", fds = 8, grants = 2, lease = 60 }
`;

let daemon: Daemon;
test.before(async () => {
  if (reason === null) daemon = await startDaemon({ policy: POLICY });
});
test.after.always(async () => {
  await daemon?.stop();
});

interface Refusal {
  error: string;
  code: string;
  message: string;
  explanation: string;
  remedy: string;
}

async function refused<Arguments extends readonly unknown[]>(
  t: ExecutionContext,
  uid: number,
  body: (world: World, ...args: Arguments) => Promise<unknown>,
  ...args: Arguments
): Promise<Refusal> {
  const error = (await t.throwsAsync(runAs({ uid, socket: daemon.socket }, body, ...args))) as unknown as
    Refusal | undefined;
  if (error === undefined) throw new Error('it was not refused');
  t.truthy(error.explanation, `no cause in ${JSON.stringify(error)}`);
  t.truthy(error.remedy, `no remedy in ${JSON.stringify(error)}`);
  return error;
}

const openPid = async ({ client, syntax }: World, pid: number, event: string): Promise<unknown> => {
  const connection = await client.connect();
  return (await connection.open({ targets: [{ pid }], events: syntax.parseEvents(event) })).id;
};

privileged("another user's process is refused", async (t) => {
  const victim = await startBusy(BOB);
  t.teardown(() => victim.end());
  const error = await refused(t, ALICE, openPid, victim.pid, 'task-clock:u');
  t.true(['PolicyDenied', 'CeilingExceeded'].includes(error.error), JSON.stringify(error));
});

privileged('a process with the same uid and another gid is refused', async (t) => {
  const victim = await startBusy(ALICE, BOB);
  t.teardown(() => victim.end());
  const error = await refused(t, ALICE, openPid, victim.pid, 'task-clock:u');
  t.true(['PolicyDenied', 'CeilingExceeded'].includes(error.error), JSON.stringify(error));
});

privileged('a process that is not dumpable is refused', async (t) => {
  const script = "import ctypes,time; ctypes.CDLL(None).prctl(4,0,0,0,0); print('x',flush=True); time.sleep(60)";
  const victim = await start(ALICE, ALICE, script, 'python3');
  t.teardown(() => victim.end());
  // Its /proc entry then belongs to root.
  while (statSync(`/proc/${victim.pid}/environ`).uid !== 0) await sleep(10);
  const error = await refused(t, ALICE, openPid, victim.pid, 'task-clock:u');
  t.true(['PolicyDenied', 'CeilingExceeded'].includes(error.error), JSON.stringify(error));
});

privileged('a process in another user namespace is refused', async (t) => {
  const victim = await start(ALICE, ALICE, 'exec unshare --user --map-root-user sleep 60');
  t.teardown(() => victim.end());
  const ownNamespace = readlinkSync('/proc/self/ns/user');
  while (readlinkSync(`/proc/${victim.pid}/ns/user`) === ownNamespace) await sleep(10);
  const error = await refused(t, ALICE, openPid, victim.pid, 'task-clock:u');
  t.true(['PolicyDenied', 'CeilingExceeded'].includes(error.error), JSON.stringify(error));
});

privileged('kernel mode is refused when the ceiling does not include it', async (t) => {
  const victim = await startBusy(ALICE);
  t.teardown(() => victim.end());
  t.like(await refused(t, ALICE, openPid, victim.pid, 'task-clock'), { error: 'CeilingExceeded', code: 'kernel' });
  // Whether there is one of that name or not: the broker does not have their names then.
  for (const event of ['sched:sched_switch', 'no:such'])
    t.like(await refused(t, ALICE, openPid, victim.pid, event), { error: 'CeilingExceeded', code: 'tracepoint' });
});

privileged('system-wide events are refused when the ceiling does not include them', async (t) => {
  const error = await refused(t, ALICE, async ({ client, syntax }) => {
    const connection = await client.connect();
    return (await connection.open({ targets: [{ system: true }], events: syntax.parseEvents('cpu-clock:u') })).id;
  });
  t.like(error, { error: 'CeilingExceeded', code: 'system-wide' });
});

privileged('a subject that no rule names is refused', async (t) => {
  const victim = await startBusy(BOB);
  t.teardown(() => victim.end());
  t.like(await refused(t, BOB, openPid, victim.pid, 'task-clock:u'), { error: 'PolicyDenied' });
});

privileged('a frequency above the limit is refused with both numbers', async (t) => {
  const error = await refused(t, ALICE, async ({ client, syntax }) => {
    const connection = await client.connect();
    const [event] = syntax.parseEvents('cpu-clock:u');
    return (
      await connection.open({
        targets: [{ pid: process.pid }],
        events: [{ ...event!, sampling: { frequency: 1001 }, sampleType: ['ip'] }],
      })
    ).id;
  });
  t.like(error, { error: 'PolicyDenied', code: 'limit' });
  t.regex(error.message, /1,?001/);
  t.regex(error.message, /1,?000/);
});

privileged('a pid that does not exist is reported as a target that is gone', async (t) => {
  t.like(await refused(t, ALICE, openPid, 4_194_300, 'task-clock:u'), { error: 'TargetGone' });
});

privileged('an fd that is not a pidfd is not a target', async (t) => {
  const error = await refused(t, ALICE, async ({ client, syntax }) => {
    const { openSync } = await import('node:fs');
    const connection = await client.connect();
    return (
      await connection.open({
        targets: [{ pidfd: openSync('/etc/hostname', 'r') }],
        events: syntax.parseEvents('task-clock:u'),
      })
    ).id;
  });
  t.like(error, { error: 'InvalidTarget', code: 'not-a-pidfd' });
});

privileged('a plain directory is not a cgroup', async (t) => {
  const error = await refused(t, ALICE, async ({ client, syntax }) => {
    const connection = await client.connect();
    return (await connection.open({ targets: [{ cgroup: '/tmp' }], events: syntax.parseEvents('task-clock:u') })).id;
  });
  t.like(error, { error: 'InvalidTarget', code: 'not-a-cgroup' });
});

privileged('a cgroup that its client has bound to a name that the policy allows is not that cgroup', async (t) => {
  const policy = `[[rule]]
name = "mine"
verdict = "allow"
subjects = { users = [${ALICE}] }
targets = { any_user = true, cgroups = ["/perfbroker-mine"] }
classes = ["user", "system-wide"]
`;
  const open = await startDaemon({ policy, args: ['--ceiling', 'user,system-wide'] });
  t.teardown(() => open.stop());
  const outcome = await runAs({ uid: ALICE, socket: open.socket }, async ({ client, syntax }) => {
    const { existsSync, readFileSync } = await import('node:fs');
    const { spawn } = await import('node:child_process');
    const root = ['/sys/fs/cgroup/unified', '/sys/fs/cgroup'].find((path) => existsSync(`${path}/cgroup.controllers`));
    if (root === undefined) return 'no cgroup2';
    // In namespaces of the client's own everything but that one name is hidden, and the name is the root's.
    const hide = `mount --rbind "$1" /mnt && mount -t tmpfs tmpfs /sys/fs/cgroup && mkdir -p "$1/perfbroker-mine" &&
      mount --rbind /mnt "$1/perfbroker-mine" && echo ready && exec sleep 60`;
    const inside = spawn('unshare', ['--user', '--map-root-user', '--mount', 'sh', '-c', hide, 'sh', root], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    try {
      const ready = await new Promise<boolean>((resolve) => {
        inside.stdout.once('data', () => resolve(true));
        inside.once('close', () => resolve(false));
      });
      if (!ready) return 'no namespaces';
      const cgroup = `/proc/${inside.pid}/root${root}/perfbroker-mine`;
      if (!readFileSync(`${cgroup}/cgroup.procs`, 'utf8').includes('\n')) return 'nobody in it';
      const connection = await client.connect();
      const request = { targets: [{ cgroup }], events: syntax.parseEvents('context-switches:u') };
      return await connection.open(request).then(
        () => 'opened',
        (error: { code: string }) => error.code,
      );
    } finally {
      inside.kill('SIGKILL');
    }
  });
  if (outcome.startsWith('no ')) return skip(t, outcome);
  t.is(outcome, 'not-a-cgroup');
});

privileged('an unknown bit of a raw attr is refused by name', async (t) => {
  const error = await refused(t, ALICE, async ({ client }) => {
    const attr = new Uint8Array(112);
    const view = new DataView(attr.buffer);
    view.setUint32(0, 1, true);
    view.setUint32(4, 112, true);
    view.setBigUint64(24, 1n << 40n, true);
    const connection = await client.connect();
    return (await connection.open({ targets: [{ pid: process.pid }], events: [{ attr }] })).id;
  });
  t.is(error.error, 'InvalidEvent');
  t.regex(error.message, /sample_type/);
});

privileged('an event of hardware that is not there is refused by the kernel, with errno', async (t) => {
  const error = await refused(t, ALICE, async ({ client, syntax }) => {
    const connection = await client.connect();
    return (
      await connection.open({
        targets: [{ pid: process.pid, threads: 'leader' }],
        events: syntax.parseEvents('cycles:u'),
      })
    ).id;
  }).catch(() => null);
  if (error === null) return skip(t, 'this machine has a hardware PMU');
  t.is(error.error, 'KernelRefused');
  t.regex(error.message, /^cycles:u of process \d+: perf_event_open refused with ENOENT/);
});

privileged('grants, fds and ring bytes end at their quotas and come back when grants end', async (t) => {
  const outcome = await runAs({ uid: CAROL, socket: daemon.socket }, async ({ client, syntax }) => {
    const connection = await client.connect();
    const events = syntax.parseEvents('task-clock:u');
    const target = { pid: process.pid, threads: 'leader' } as const;
    const attempt = async (request: object): Promise<string> => {
      try {
        return (await connection.open({ targets: [target], events, ...request })).id;
      } catch (error) {
        const { error: name, code } = error as { error: string; code: string };
        return `${name} ${code}`;
      }
    };
    const first = await connection.open({ targets: [target], events });
    await connection.open({ targets: [target], events });
    const third = await attempt({});
    await first.close();
    const fourth = await attempt({});
    await connection.close();
    const again = await client.connect();
    const tooMany = await again.open({ targets: Array.from({ length: 9 }, () => target), events }).then(
      () => 'opened',
      (error: { error: string; code: string }) => `${error.error} ${error.code}`,
    );
    const rings = await again
      .open({
        targets: [target],
        events: [{ ...events[0]!, sampling: { period: 1_000_000n }, sampleType: ['ip'] }],
        ringBytes: 2 * 1024 * 1024,
      })
      .then(
        () => 'opened',
        (error: { error: string; code: string }) => `${error.error} ${error.code}`,
      );
    return { third, fourth, tooMany, rings };
  });
  t.is(outcome.third, 'QuotaExceeded grants');
  t.regex(outcome.fourth, /^[0-9a-f]{24}$/);
  t.regex(outcome.tooMany, /limit|fds/);
  t.regex(outcome.rings, /limit|ring-bytes/);
});

privileged('Explain gives the same verdict and opens nothing', async (t) => {
  const victim = await startBusy(BOB);
  t.teardown(() => victim.end());
  const decisions = await runAs(
    { uid: ALICE, socket: daemon.socket },
    async ({ client, syntax }, other) => {
      const connection = await client.connect();
      const events = syntax.parseEvents('task-clock:u');
      const own = await connection.explain({ targets: [{ pid: process.pid, threads: 'leader' }], events });
      const foreign = await connection.explain({ targets: [{ pid: other }], events });
      return { own, foreign, grants: await connection.listGrants() };
    },
    victim.pid,
  );
  t.like(decisions.own, { verdict: 'allow', rule: 'own' });
  t.is(decisions.foreign.verdict, 'deny');
  t.true(decisions.foreign.reasons.length > 0);
  t.deepEqual(decisions.grants, []);
});

privileged('a client that bound its socket to a name before it connected is advised not to', (t) => {
  if (!existsSync(PYTHON)) return skip(t, `${PYTHON} is missing`);
  const script = `
import json, os, socket, sys
connection = socket.socket(socket.AF_UNIX); connection.bind(bytes(1) + b'perfbroker-test-%d' % os.getpid()); connection.connect(sys.argv[1])
event = {'source': {'kind': 'software', 'name': 'task-clock'}, 'exclude': ['kernel']}
parameters = {'targets': [{'kind': 'process', 'pid': os.getpid()}], 'events': [event]}
connection.sendall(json.dumps({'method': 'org.perfbroker.Broker.Open', 'parameters': parameters}).encode() + bytes(1))
print(connection.recv(65536)[:-1].decode())
`;
  const run = spawnSync(PYTHON, ['-c', script, daemon.socket], { cwd: '/', uid: ALICE, gid: ALICE, encoding: 'utf8' });
  t.is(run.stderr, '');
  const { error, parameters } = JSON.parse(run.stdout) as { error: string; parameters: Record<string, string> };
  t.is(error, 'org.perfbroker.Broker.InvalidTarget');
  t.is(parameters['code'], 'bound-socket');
  t.regex(parameters['remedy'] ?? '', /Do not bind the socket before connect\(2\)/);
});
