/** Permission to downgrade, privileges of the tracer, audit records, and the death of a helper process. */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import test from 'ava';
import { ALICE, BOB, runAs } from '../e2e/as_user.js';
import { childrenOf, noPrivilege, startDaemon, type Daemon } from '../e2e/daemon.js';
import { startBusy } from '../e2e/target.js';
import { compileTools } from '../tools/compile.js';
import { parseEvents } from '#dist/model/events/syntax/event_syntax.js';
import { BrokerError, type Grant } from '#dist/client/index.js';
import { ADMIN, ALL, ask, keepers, open, PERFMON, startTarget, startTracing, statusOf, tracerOf } from './support.js';

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test.serial : test.serial.skip;

const tools = compileTools('churn', 'odd_targets');
const daemon = reason === null ? await startTracing() : null;
test.after.always(async () => {
  await daemon?.stop();
  tools.remove();
});
const client = daemon === null ? null! : await open(daemon);
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const downgradeAs = (socket: string, uid: number, pid: number): Promise<string> =>
  runAs(
    { uid, socket },
    async ({ client: library }, target) => {
      const connection = await library.connect();
      try {
        return `${(await connection.downgrade({ target: { pid: target }, drop: ['all'], noNewPrivs: true })).length}`;
      } catch (error) {
        const { error: name, code } = error as { error: string; code: string };
        return `${name} ${code}`;
      }
    },
    pid,
  );

privileged('the tracer holds CAP_SYS_PTRACE and nothing else, under a uid of its own, filtered and sealed', (t) => {
  const pid = tracerOf(daemon!);
  t.is(readdirSync(`/proc/${pid}/task`).length, 1);
  const status = statusOf(pid);
  for (const set of ['CapPrm', 'CapEff']) t.is(BigInt(`0x${status.get(set)}`), 1n << 19n, set);
  for (const set of ['CapInh', 'CapBnd', 'CapAmb']) t.is(BigInt(`0x${status.get(set)}`), 0n, set);
  t.is(status.get('NoNewPrivs'), '1');
  t.is(status.get('Seccomp'), '2');
  t.is(status.get('Groups'), '');
  const uids = status.get('Uid')!.split('\t');
  t.false(uids.includes('0'));
  const effective = (part: number): string => statusOf(part).get('Uid')!.split('\t')[1]!;
  t.is(new Set([pid, daemon!.parts.opener, daemon!.parts.broker].map(effective)).size, 3);
});

privileged('without --with-tracer there is no tracer, and the answer says so', async (t) => {
  const plain = await startDaemon();
  t.teardown(() => plain.stop());
  t.is(childrenOf(plain.parts.monitor).length, 2);
  const connection = await open(plain);
  t.teardown(() => connection.close());
  t.is(await ask(connection, { target: { pid: process.pid }, drop: ['all'] }), 'DowngradeRefused no-tracer');
});

privileged("with the built-in policy only an administrator may downgrade processes, even a user's own", async (t) => {
  const plain = await startDaemon({ args: ['--with-tracer'] });
  t.teardown(() => plain.stop());
  const victim = await startBusy(ALICE);
  t.teardown(() => victim.end());
  t.is(await downgradeAs(plain.socket, ALICE, victim.pid), 'PolicyDenied mode');
  t.is(statusOf(victim.pid).get('NoNewPrivs'), '0');
  t.like(
    plain.audit().find(({ action }) => action === 'downgrade'),
    { verdict: 'deny', drop: ['all'], noNewPrivs: true },
  );
});

privileged(
  'where the policy allows it users may downgrade processes of their own ids, and the tracer refuses all others',
  async (t) => {
    const own = await startBusy(ALICE);
    const other = await startBusy(ALICE, BOB);
    t.teardown(() => Promise.all([own.end(), other.end()]));
    t.is(await downgradeAs(daemon!.socket, ALICE, own.pid), '1');
    t.is(statusOf(own.pid).get('NoNewPrivs'), '1');
    // The rule covers it by its uids; the gid is another's.
    t.is(await downgradeAs(daemon!.socket, ALICE, other.pid), 'DowngradeRefused not-same-user');
    t.is(await downgradeAs(daemon!.socket, BOB, other.pid), 'DowngradeRefused not-same-user');
    t.is(statusOf(other.pid).get('NoNewPrivs'), '0');
  },
);

privileged("the tracer refuses root without the capabilities of the host's root", async (t) => {
  const victim = await startBusy(0);
  t.teardown(() => victim.end());
  const everyone =
    '[[rule]]\nname = "all"\nverdict = "allow"\nsubjects = { everyone = true }\ntargets = { any_user = true }\nmode = ["downgrade"]\n';
  const lax = await startTracing({ policy: everyone });
  t.teardown(() => lax.stop());
  const script = `
import { connect } from '${new URL('../../../dist/client/index.js', import.meta.url).pathname}';
const client = await connect({ socket: '${lax.socket}' });
await client.downgrade({ target: { pid: ${victim.pid} }, drop: ['all'] }).then(() => console.log('done'), (error) => console.log(error.error, error.code));
process.exit();
`;
  const run = async (...prefix: string[]): Promise<string> => {
    const [command, ...args] = [...prefix, process.execPath, '--input-type=module', '-e', script];
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    for await (const chunk of child.stdout) output += String(chunk);
    return output.trim();
  };
  const caps = 'cap_sys_admin,cap_perfmon'
    .split(',')
    .map((name) => `-${name.slice(4)}`)
    .join(',');
  t.is(await run('setpriv', `--bounding-set=${caps}`), 'DowngradeRefused not-same-user');
  t.true(keepers(victim.pid, PERFMON).length > 0);
  t.is(await run(), 'done');
});

privileged('children of the same user are included, and processes of others are not', async (t) => {
  const script =
    'sleep 101 & sleep 102 & setpriv --reuid=60123 --clear-groups sleep 103 & setpriv --reuid=60123 --clear-groups --inh-caps=+perfmon --ambient-caps=+perfmon sleep 104 & (sleep 105 & wait) & echo ready; wait';
  const target = await startTarget('sh', '-c', script);
  const descendants = (pid: number): number[] => childrenOf(pid).flatMap((child) => [child, ...descendants(child)]);
  t.teardown(() => {
    for (const pid of descendants(target.pid)) process.kill(pid, 'SIGKILL');
    target.kill();
  });
  const named = (): number[] => descendants(target.pid).filter((pid) => statusOf(pid).get('Name') === 'sleep');
  while (named().length < 5) await sleep(10);
  const processes = await client.downgrade({
    target: { pid: target.pid },
    drop: ['all'],
    children: true,
    noNewPrivs: true,
    deadlineMs: 5000,
  });
  t.deepEqual(processes.map(({ pid }) => pid).slice(0, 1), [target.pid]);
  t.is(processes.length, 5); // sh, sleep 101, sleep 102, (sh), sleep 105
  for (const { pid } of processes) t.deepEqual(keepers(pid, ALL, true), []);
  const others = named().filter((pid) => statusOf(pid).get('Uid')!.startsWith('60123'));
  t.is(others.length, 2);
  t.is(others.filter((pid) => keepers(pid, PERFMON).length > 0).length, 1);
});

privileged('one refused child keeps all of them as they are', async (t) => {
  const script = `exec 3<&0; ${tools.path('odd_targets')} seccomp-kill <&3 & wait`;
  const target = await startTarget('sh', '-c', script);
  t.teardown(() => {
    for (const pid of childrenOf(target.pid)) process.kill(pid, 'SIGKILL');
    target.kill();
  });
  t.is(await ask(client, { target: { pid: target.pid }, drop: ['all'], children: true }), 'DowngradeRefused seccomp');
  t.true(keepers(target.pid, PERFMON).length > 0);
});

privileged(
  'an Open that carries a downgrade hands over its fds when the target has lost the named capabilities',
  async (t) => {
    const target = await startTarget(tools.path('churn'));
    t.teardown(() => target.kill());
    const request = {
      targets: [{ pid: target.pid }],
      events: parseEvents('task-clock:u').map((event) => ({ ...event, inherit: true })),
      downgrade: { drop: ['CAP_PERFMON', 'CAP_SYS_ADMIN'], noNewPrivs: true },
    };
    let grant: Grant | undefined;
    while (grant === undefined) {
      grant = await client.open(request).catch((error: unknown) => {
        // An Open gives its downgrade 100 ms, which a busy machine needs for other things.
        if (error instanceof BrokerError && error.code === 'deadline') return undefined;
        throw error;
      });
    }
    t.true(grant.events.length > 0);
    t.true(grant.downgraded!.threads.length > 0);
    t.deepEqual(keepers(target.pid, PERFMON | ADMIN, true), []);
    for (const event of grant.events) event.enable();
    const counts = (): boolean => grant.events.some((event) => event.read()[0]! > 0n);
    for (let tries = 0; tries < 1000 && !counts(); tries++) await sleep(10);
    t.true(counts());
    await grant.close();
    t.is((await target.end()).code, 0);
  },
);

privileged('an Open whose downgrade is refused or denied opens nothing', async (t) => {
  const target = await startTarget(tools.path('odd_targets'), 'seccomp-kill');
  t.teardown(() => target.kill());
  const before = (await client.listGrants()).length;
  const attempt = async (request: object): Promise<string> => {
    const grant = await client
      .open({
        targets: [{ pid: target.pid }],
        events: parseEvents('task-clock:u'),
        downgrade: { drop: ['all'] },
        ...request,
      })
      .catch((error: unknown) => error);
    return grant instanceof BrokerError ? `${grant.error} ${grant.code}` : 'opened';
  };
  t.is(await attempt({}), 'DowngradeRefused seccomp');
  t.is(await attempt({ targets: [{ pid: target.pid, threads: 'leader' }] }), 'DowngradeRefused target-kind');
  t.is(await attempt({ targets: [{ pid: target.pid }, { pid: process.pid }] }), 'DowngradeRefused target-kind');
  t.is(await attempt({ downgrade: { drop: ['nonsense'] } }), 'DowngradeRefused unknown-capability');
  t.is((await client.listGrants()).length, before);
  const victim = await startBusy(BOB);
  t.teardown(() => victim.end());
  const code = await runAs(
    { uid: BOB, socket: daemon!.socket },
    async ({ client: library, syntax }, pid) => {
      const connection = await library.connect();
      return connection
        .open({ targets: [{ pid }], events: syntax.parseEvents('task-clock:u'), downgrade: { drop: ['all'] } })
        .then(
          () => 'opened',
          (error: unknown) => (error as { error: string }).error,
        );
    },
    victim.pid,
  );
  t.is(code, 'PolicyDenied');
});

privileged('the decision and its result are recorded', async (t) => {
  const own = await startTracing();
  t.teardown(() => own.stop());
  const victim = await startBusy(0);
  t.teardown(() => victim.end());
  const connection = await open(own);
  t.teardown(() => connection.close());
  await connection.downgrade({ target: { pid: victim.pid }, drop: ['CAP_PERFMON'], deadlineMs: 5000 });
  await ask(connection, { target: { pid: 1 }, drop: ['CAP_PERFMON'] });
  const [decided, done, again, refused] = own.audit();
  t.like(decided, { action: 'downgrade', verdict: 'allow', drop: ['CAP_PERFMON'], rule: 'administrators' });
  t.is((decided!['targets'] as { pid: number }[])[0]!.pid, victim.pid);
  t.like(done, { action: 'downgraded', verdict: 'allow', pid: victim.pid, threads: 1 });
  t.like(again, { action: 'downgrade', verdict: 'allow' });
  t.like(refused, { action: 'downgraded', verdict: 'error' });
});

privileged('a downgrade that cannot be recorded takes no capability', async (t) => {
  const full = await startTracing({ audit: '/dev/full' });
  t.teardown(() => full.stop());
  const victim = await startBusy(0);
  t.teardown(() => victim.end());
  const connection = await open(full);
  t.teardown(() => connection.close());
  t.is(await ask(connection, { target: { pid: victim.pid }, drop: ['all'] }), 'AuditFailed write');
  t.deepEqual(keepers(victim.pid, PERFMON), [victim.pid]);
});

privileged('kill -9 of the tracer ends the daemon, and leaves the targets running', async (t) => {
  const own = await startTracing();
  t.teardown(() => own.stop());
  const target = await startTarget(tools.path('churn'));
  t.teardown(() => target.kill());
  const connection = await open(own);
  t.teardown(() => connection.close());
  const tracer = tracerOf(own);
  const requests = Array.from({ length: 4 }, () =>
    ask(connection, { target: { pid: target.pid }, drop: ['all'], deadlineMs: 2000 }).catch(() => ''),
  );
  await sleep(3);
  process.kill(tracer, 'SIGKILL');
  const { code } = await own.exit;
  await Promise.all(requests);
  t.is(code, 6);
  t.regex(own.log(), /tracer.*killed by signal 9/);
  for (const pid of [...Object.values(own.parts), tracer]) t.false(existsSync(`/proc/${pid}`));
  for (let tries = 0; tries < 100 && statusOf(target.pid).get('TracerPid') !== '0'; tries++) await sleep(20);
  const { code: ended, lines } = await target.end();
  t.is(ended, 0, lines.join());
});

privileged('the helper process that died first is named, also when the broker has ended by then', async (t) => {
  for (const [name, pid] of [
    ['tracer', tracerOf],
    ['opener', (daemon: Daemon): number => daemon.parts.opener],
  ] as const) {
    const own = await startTracing();
    t.teardown(() => own.stop());
    // It finds both dead at once.
    process.kill(own.parts.monitor, 'SIGSTOP');
    process.kill(pid(own), 'SIGKILL');
    while (statusOf(own.parts.broker).get('State')?.startsWith('Z') !== true) await sleep(10);
    process.kill(own.parts.monitor, 'SIGCONT');
    t.is((await own.exit).code, 6);
    t.regex(own.log(), new RegExp(`the ${name} \\(pid \\d+\\) was killed by signal 9; ending`));
    t.notRegex(own.log(), /the broker \(pid/);
  }
});

privileged('SIGTERM and the death of another helper process also end the tracer', async (t) => {
  for (const part of ['SIGTERM', 'opener', 'monitor'] as const) {
    const own = await startTracing();
    const tracer = tracerOf(own);
    if (part === 'SIGTERM') t.is((await own.stop()).code, 0, own.log());
    else process.kill(own.parts[part], 'SIGKILL');
    for (let tries = 0; tries < 100 && existsSync(`/proc/${tracer}`); tries++) await sleep(50);
    t.false(existsSync(`/proc/${tracer}`), part);
    await own.stop();
  }
});
