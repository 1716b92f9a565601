/** The daemon from start to end: what it needs, what its parts hold, what happens when one of them dies. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { ALICE, runAs, startAs, type World } from './as_user.js';
import {
  childrenOf,
  commandLine,
  continueHelper,
  noPrivilege,
  OPEN_POLICY,
  PERFBROKERD,
  requestDecided,
  skip,
  startDaemon,
  stopHelper,
} from './daemon.js';
import { startBusy } from './target.js';
import { settledFds } from '../tools/fds_of.js';
import { listenTo, type Said } from '../tools/said.js';

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test : test.skip;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A folder that every user may look into, for this test. */
function readableFolder(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-lifecycle-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  chmodSync(directory, 0o755);
  return directory;
}

/** Fields of the status of every thread. */
function threads(pid: number): Map<string, string>[] {
  return readdirSync(`/proc/${pid}/task`).map((tid) => {
    const lines = readFileSync(`/proc/${pid}/task/${tid}/status`, 'latin1').split('\n');
    return new Map(lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]));
  });
}

const CAPABILITY_SETS = ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'];

privileged(
  'the opener holds one capability and CAP_IPC_LOCK, broker and monitor hold none, in every thread',
  async (t) => {
    const daemon = await startDaemon();
    t.teardown(() => daemon.stop());
    const capability = /with (CAP_\w+)/.exec(daemon.log())![1]!;
    const allowed = (1n << 14n) | (1n << (capability === 'CAP_PERFMON' ? 38n : 21n));
    for (const [part, pid] of Object.entries(daemon.parts)) {
      for (const thread of threads(pid)) {
        const sets = CAPABILITY_SETS.map((name) => BigInt(`0x${thread.get(name)}`));
        const all = sets.reduce((sum, set) => sum | set, 0n);
        t.is(all & ~(part === 'opener' ? allowed : 0n), 0n, `${part} has too much`);
        if (part === 'opener') t.is(BigInt(`0x${thread.get('CapEff')}`) & allowed, allowed);
        t.is(thread.get('NoNewPrivs'), '1', part);
        t.is(thread.get('Seccomp'), '2', part);
        t.false(thread.get('Uid')!.split(/\s+/).includes('0'), part);
        t.false(thread.get('Gid')!.split(/\s+/).includes('0'), part);
        t.is(thread.get('Groups')!, '', part);
      }
    }
    const uid = (pid: number): string => threads(pid)[0]!.get('Uid')!;
    t.not(uid(daemon.parts.opener), uid(daemon.parts.broker), 'opener and broker are different users');
  },
);

privileged(
  'the broker may neither bind nor trace nor open events, and a prlimit core of 0 holds for the opener',
  async (t) => {
    const daemon = await startDaemon();
    t.teardown(() => daemon.stop());
    const limits = readFileSync(`/proc/${daemon.parts.opener}/limits`, 'latin1');
    t.regex(limits, /Max core file size\s+0\s+0/);
    const environment = readFileSync(`/proc/${daemon.parts.broker}/environ`, 'latin1').split('\0').filter(Boolean);
    for (const entry of environment) t.regex(entry, /^(PATH|LANG|HOME)=/);
  },
);

for (const part of ['monitor', 'opener', 'broker'] as const) {
  privileged(`kill -9 of the ${part} ends every helper process, with an exit code that is not 0`, async (t) => {
    const daemon = await startDaemon();
    t.teardown(() => daemon.stop());
    const { parts } = daemon;
    process.kill(parts[part], 'SIGKILL');
    const { code, signal } = await daemon.exit;
    if (part === 'monitor') t.is(signal, 'SIGKILL');
    else {
      t.is(code, 6);
      t.regex(daemon.log(), new RegExp(`${part}.*killed by signal 9`));
    }
    for (let tries = 0; tries < 50 && Object.values(parts).some((pid) => existsSync(`/proc/${pid}`)); tries++)
      await sleep(100);
    for (const [name, pid] of Object.entries(parts)) t.false(existsSync(`/proc/${pid}`), `${name} is still there`);
  });
}

privileged('a machine that cannot be read is reported in one sentence', (t) => {
  const script = 'mount -t tmpfs none /sys && exec "$0" --policy "$1" --socket "$2"';
  const directory = readableFolder(t);
  const policy = join(directory, 'policy.toml');
  writeFileSync(policy, OPEN_POLICY);
  const { status, stderr } = spawnSync(
    'unshare',
    ['--mount', 'sh', '-c', script, PERFBROKERD, policy, join(directory, 'broker.sock')],
    { encoding: 'utf8' },
  );
  t.is(status, 7, stderr);
  t.regex(stderr, /not serving: ENOENT.*\/sys\//);
  t.notRegex(stderr, /\bat \S+:\d+/);
});

privileged('SIGTERM ends the broker cleanly: the exit code is 0 and nothing is left', async (t) => {
  const daemon = await startDaemon();
  const { parts } = daemon;
  const { code } = await daemon.stop();
  t.is(code, 0, daemon.log());
  for (const pid of Object.values(parts)) t.false(existsSync(`/proc/${pid}`));
});

/** A daemon whose broker is stopped before it serves, or null: where others keep this process from looking, it is quicker. */
async function startStopped(
  directory: string,
): Promise<{ child: ChildProcess; broker: number; exit: Promise<unknown>; log: Said } | null> {
  const child = spawn(
    PERFBROKERD,
    ['--policy', join(directory, 'policy.toml'), '--socket', join(directory, 'broker.sock')],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const exit = new Promise<unknown>((resolve) => child.once('close', (code, signal) => resolve(signal ?? code)));
  const log = listenTo(child, 'stderr');
  let broker: number | undefined;
  while (broker === undefined) {
    await sleep(1);
    broker = childrenOf(child.pid!).find((pid) => commandLine(pid).includes('broker/main.js'));
  }
  process.kill(broker, 'SIGSTOP');
  await sleep(100);
  if (!log.text().includes('serving')) return { child, broker, exit, log };
  process.kill(broker, 'SIGCONT');
  child.kill('SIGTERM');
  await exit;
  return null;
}

for (const [sent, becomes] of [
  ['SIGTERM', /ending/],
  ['SIGHUP', /policy reloaded/],
] as const)
  privileged(`${sent} during the start is handled after it`, async (t) => {
    const directory = readableFolder(t);
    writeFileSync(join(directory, 'policy.toml'), OPEN_POLICY);
    let started = await startStopped(directory);
    while (started === null) started = await startStopped(directory);
    const { child, broker, exit, log } = started;
    t.teardown(() => child.kill('SIGTERM'));
    child.kill(sent);
    await sleep(100);
    process.kill(broker, 'SIGCONT');
    await t.notThrowsAsync(log.match(becomes));
    child.kill('SIGTERM');
    t.is(await exit, 0, log.text());
  });

privileged('several signals do not put off the end of a broker that hangs', async (t) => {
  const daemon = await startDaemon();
  t.teardown(() => daemon.stop());
  const { monitor, broker } = daemon.parts;
  process.kill(broker, 'SIGSTOP');
  process.kill(monitor, 'SIGTERM');
  const state = { ended: false };
  const ended = daemon.exit.then(({ code }) => {
    state.ended = true;
    return code;
  });
  for (let times = 0; times < 10 && !state.ended; times++) {
    await sleep(1500);
    // Not daemon.child.kill, which counts on what node knows of the child.
    if (!state.ended) spawnSync('kill', ['-HUP', String(monitor)], { stdio: 'ignore' });
  }
  t.true(state.ended, 'before the last of them');
  t.is(await ended, 6);
  t.regex(daemon.log(), /not everything has ended within 5 s; killing it/);
});

privileged('SIGTERM, once or several times, lets a running request finish and accepts no new one', async (t) => {
  const daemon = await startDaemon();
  t.teardown(() => daemon.stop());
  const { opener, monitor, broker } = daemon.parts;
  const before = await settledFds(broker);
  stopHelper(opener);
  const running = runAs({ uid: ALICE, socket: daemon.socket }, async ({ client, syntax }) => {
    const connection = await client.connect();
    const target = { pid: process.pid, threads: 'leader' } as const;
    const grant = await connection.open({ targets: [target], events: syntax.parseEvents('task-clock:u') });
    grant.events[0]!.enable();
    for (let i = 0; i < 1e6; i++);
    return Number(grant.events[0]!.read()[0]);
  });
  await requestDecided(broker, before);
  process.kill(monitor, 'SIGTERM');
  await sleep(250);
  // `systemctl kill` sends the signal to all processes, and an impatient administrator repeats it.
  for (const signal of ['SIGTERM', 'SIGTERM', 'SIGINT'] as const) process.kill(broker, signal);
  await sleep(250);
  // Not a program of its own, which may take longer to start than the running request may take.
  const late = createConnection(daemon.socket);
  t.like((await once(late, 'error'))[0], { code: 'ECONNREFUSED' });
  continueHelper(opener);
  t.true((await running) > 0);
  t.is((await daemon.exit).code, 0, daemon.log());
});

privileged(
  'SIGHUP loads a changed policy; a broken one leaves the old one in force, and the error names the place',
  async (t) => {
    const daemon = await startDaemon();
    t.teardown(() => daemon.stop());
    const ask = (): Promise<string> =>
      runAs({ uid: ALICE, socket: daemon.socket }, async ({ client, syntax }) => {
        const connection = await client.connect();
        const decision = await connection.explain({
          targets: [{ pid: process.pid }],
          events: syntax.parseEvents('task-clock:u'),
        });
        return `${decision.verdict} ${decision.rule ?? ''}`;
      });
    t.is(await ask(), 'allow own');
    let from = daemon.log().length;
    writeFileSync(
      daemon.policyFile,
      OPEN_POLICY.replace('verdict = "allow"\nsubjects = { everyone', 'verdict = "alow"\nsubjects = { everyone'),
    );
    daemon.child.kill('SIGHUP');
    await daemon.logged(/old policy stays in force/, from);
    t.regex(daemon.log(), /policy\.toml:\d+/);
    t.is(await ask(), 'allow own');
    from = daemon.log().length;
    writeFileSync(daemon.policyFile, OPEN_POLICY.replace('name = "own"', 'name = "renamed"'));
    daemon.child.kill('SIGHUP');
    await daemon.logged(/reloaded/, from);
    t.is(await ask(), 'allow renamed');
  },
);

privileged('a policy that others may write is refused at start', async (t) => {
  const probe = await startDaemon();
  t.teardown(() => probe.stop());
  const file = join(probe.directory, 'writable.toml');
  writeFileSync(file, OPEN_POLICY);
  spawnSync('chmod', ['0666', file]);
  const run = spawnSync(PERFBROKERD, ['--policy', file, '--socket', join(probe.directory, 'other.sock')], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  t.not(run.status, 0);
  t.regex(run.stderr, /writ/);
});

privileged('a live socket is refused, a stale one is replaced, a plain file is left alone', async (t) => {
  const daemon = await startDaemon();
  const { socket, directory } = daemon;
  const second = spawnSync(PERFBROKERD, ['--policy', daemon.policyFile, '--socket', socket], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  t.is(second.status, 4, second.stderr);
  const file = join(directory, 'plain');
  writeFileSync(file, 'precious');
  const third = spawnSync(PERFBROKERD, ['--policy', daemon.policyFile, '--socket', file], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  t.is(third.status, 4);
  t.is(readFileSync(file, 'utf8'), 'precious');
  process.kill(daemon.parts.monitor, 'SIGKILL');
  await daemon.exit;
  t.true(existsSync(socket), 'a stale socket stays behind');
  const fourth = spawn(PERFBROKERD, ['--policy', daemon.policyFile, '--socket', socket], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const serving = await new Promise<boolean>((resolve) => {
    let log = '';
    fourth.stderr.on('data', (chunk: Buffer) => {
      log += chunk.toString();
      if (log.includes('serving on')) resolve(true);
    });
    fourth.once('close', () => resolve(false));
  });
  t.true(serving);
  fourth.kill('SIGTERM');
  await new Promise((resolve) => fourth.once('close', resolve));
  await daemon.stop();
});

privileged('a socket passed with LISTEN_FDS is adopted', async (t) => {
  const probe = await startDaemon();
  t.teardown(() => probe.stop());
  const path = join(probe.directory, 'adopted.sock');
  const program = `import os,socket,sys
s=socket.socket(socket.AF_UNIX,socket.SOCK_STREAM); s.bind(sys.argv[1]); s.listen(16); os.chmod(sys.argv[1],0o666)
os.dup2(s.fileno(),3); os.set_inheritable(3,True)
os.environ['LISTEN_FDS']='1'; os.environ['LISTEN_PID']=str(os.getpid())
os.execv(sys.argv[2],[sys.argv[2],'--policy',sys.argv[3]])`;
  const child = spawn('python3', ['-c', program, path, PERFBROKERD, probe.policyFile], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  await new Promise<void>((resolve) => {
    child.stderr.on('data', (chunk: Buffer) => {
      log += chunk.toString();
      if (log.includes('serving on')) resolve();
    });
    child.once('close', () => resolve());
  });
  t.regex(log, /serving on/);
  const uid = await runAs(
    { uid: ALICE, socket: path },
    async ({ client }) => (await (await client.connect()).describe()).caller.uid,
  );
  t.is(uid, ALICE);
  child.kill('SIGTERM');
  const code = await new Promise((resolve) => child.once('close', resolve));
  t.is(code, 0, log);
});

privileged('without the capability the daemon refuses to start, and names the capability and how to grant it', (t) => {
  const run = spawnSync(
    'setpriv',
    ['--reuid=60125', '--regid=60125', '--clear-groups', PERFBROKERD, '--socket', '/tmp/never.sock'],
    { encoding: 'utf8', timeout: 120_000 },
  );
  if (run.stderr.includes('failed to execute')) return skip(t, 'the checkout is closed to other users');
  t.is(run.status, 3, run.stderr);
  t.regex(run.stderr, /CAP_PERFMON/);
  t.regex(run.stderr, /perf_event_paranoid/);
});

privileged(
  'a daemon started by an unprivileged user with CAP_PERFMON or CAP_SYS_ADMIN serves under that uid',
  async (t) => {
    const probe = await startDaemon();
    t.teardown(() => probe.stop());
    const capability = /with CAP_(\w+)/.exec(probe.log())![1]!.toLowerCase();
    const directory = join(probe.directory, 'mine');
    spawnSync('install', ['-d', '-o', '60125', '-g', '60125', directory]);
    const socket = join(directory, 'broker.sock');
    const child = spawn(
      'setpriv',
      [
        '--reuid=60125',
        '--regid=60125',
        '--clear-groups',
        `--inh-caps=+${capability}`,
        `--ambient-caps=+${capability}`,
        PERFBROKERD,
        '--policy',
        probe.policyFile,
        '--socket',
        socket,
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    let log = '';
    await new Promise<void>((resolve) => {
      child.stderr.on('data', (chunk: Buffer) => {
        log += chunk.toString();
        if (log.includes('serving on')) resolve();
      });
      child.once('close', () => resolve());
    });
    if (log.includes('Permission denied') && !log.includes('serving'))
      return skip(t, 'the checkout is closed to other users');
    t.regex(log, /serving on/);
    for (const pid of childrenOf(child.pid!)) t.regex(threads(pid)[0]!.get('Uid')!, /^60125\s/);
    const victim = await startBusy(ALICE);
    t.teardown(() => victim.end());
    const opened = await runAs(
      { uid: ALICE, socket },
      async ({ client, syntax }, pid) =>
        (
          await (
            await client.connect()
          ).open({ targets: [{ pid, threads: 'leader' }], events: syntax.parseEvents('task-clock:u') })
        ).events.length,
      victim.pid,
    );
    t.is(opened, 1);
    child.kill('SIGTERM');
    await new Promise((resolve) => child.once('close', resolve));
  },
);

privileged('an audit log on a full disk refuses every grant and keeps the service alive', async (t) => {
  const daemon = await startDaemon({ audit: '/dev/full' });
  t.teardown(() => daemon.stop());
  const ask = (): Promise<string> =>
    runAs({ uid: ALICE, socket: daemon.socket }, async ({ client, syntax }) => {
      const connection = await client.connect();
      try {
        await connection.open({ targets: [{ pid: process.pid }], events: syntax.parseEvents('task-clock:u') });
        return 'opened';
      } catch (error) {
        return `${(error as { error: string }).error} ${(await connection.listGrants()).length}`;
      }
    });
  t.is(await ask(), 'AuditFailed 0');
  t.is(await ask(), 'AuditFailed 0');
});

privileged('an administrator ends a grant while the audit log accepts no record', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-fifo-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const fifo = join(directory, 'audit');
  t.is(spawnSync('mkfifo', [fifo]).status, 0);
  const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
  const daemon = await startDaemon({ audit: fifo });
  t.teardown(() => daemon.stop());
  const holder = startAs({ uid: ALICE, socket: daemon.socket }, async ({ client, syntax }) => {
    const connection = await client.connect();
    await connection.open({ targets: [{ pid: process.pid }], events: syntax.parseEvents('task-clock:u') });
    await new Promise((resolve) => setTimeout(resolve, 60_000));
  });
  t.teardown(() => holder.child.kill('SIGKILL'));
  holder.result.catch(() => undefined);
  const root = { uid: 0, socket: daemon.socket };
  const list = async ({ client }: World): Promise<string[]> => {
    const connection = await client.connect();
    return (await connection.listGrants({ all: true })).map(({ id }) => id);
  };
  let grants: string[] = [];
  for (let tries = 0; tries < 100 && grants.length === 0; tries++) grants = await runAs(root, list);
  closeSync(reader); // EPIPE from now on
  await runAs(root, async ({ client }, id) => (await client.connect()).revoke(id), grants[0] ?? '');
  t.deepEqual(await runAs(root, list), []);
  t.regex(daemon.log(), /the audit log cannot be written/);
});

for (const [what, text, mode] of [
  ['does not exist', null, 0],
  ['cannot be read', OPEN_POLICY, 0o000],
  ['can be written by any user', OPEN_POLICY, 0o666],
  ['is broken', 'nonsense = 1', 0o644],
] as const)
  privileged(`a policy that ${what} is reported, with exit code 7 every time`, (t) => {
    const directory = readableFolder(t);
    const policy = join(directory, 'policy.toml');
    if (text !== null) writeFileSync(policy, text);
    if (text !== null) chmodSync(policy, mode);
    for (let times = 0; times < 4; times++) {
      const { status, stderr } = spawnSync(
        PERFBROKERD,
        ['--policy', policy, '--socket', join(directory, 'broker.sock')],
        { encoding: 'utf8', timeout: 120_000 },
      );
      t.is(status, 7, stderr);
      t.true(stderr.includes(policy), stderr);
    }
  });

privileged('a usage error is exit code 2, --help and --version are 0', (t) => {
  t.is(spawnSync(PERFBROKERD, ['--nonsense']).status, 2);
  t.is(spawnSync(PERFBROKERD, ['--ceiling', 'everything']).status, 2);
  const help = spawnSync(PERFBROKERD, ['--help'], { encoding: 'utf8' });
  t.is(help.status, 0);
  t.regex(help.stdout, /--ceiling/);
  t.is(spawnSync(PERFBROKERD, ['--version']).status, 0);
});

privileged('root is refused as the user of a helper process', (t) => {
  const run = spawnSync(PERFBROKERD, ['--user', 'root', '--socket', '/tmp/never.sock'], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  t.not(run.status, 0);
  t.false(existsSync('/tmp/never.sock'));
});

for (const [what, limit, message] of [
  ['a limit below the number that it needs', 'ulimit -n 46', /the limit of open files is 46; it must be 71 at least/],
  [
    'inherited fds that leave no room for those of the opener',
    `ulimit -n 71; exec ${Array.from({ length: 7 }, (_, index) => `${64 + index}</dev/null`).join(' ')}`,
    /the fds of a helper process: Too many open files/,
  ],
] as const)
  privileged(`a daemon with too few open files logs the cause and exits with 7: ${what}`, (t) => {
    const socket = join(readableFolder(t), 'broker.sock');
    const command = ['-c', `${limit}; exec "$0" --socket "$1"`, PERFBROKERD, socket];
    const run = spawnSync('bash', command, { encoding: 'utf8', timeout: 120_000 });
    t.regex(run.stderr, message);
    t.is(run.status, 7);
  });

privileged('a node that ends before it serves is an error, also when it exits with 0', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-node-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const socket = join(directory, 'broker.sock');
  const { status, stderr } = spawnSync(PERFBROKERD, ['--node', '/bin/true', '--socket', socket], { encoding: 'utf8' });
  t.is(status, 6, stderr);
  t.regex(stderr, /the broker ended before it was ready/);
});

test('a wrong option is reported with its value and the one cause', (t) => {
  const reportOf = (...options: readonly string[]): string =>
    spawnSync(PERFBROKERD, options, { encoding: 'utf8' }).stderr;
  t.is(reportOf('--bogus', '3'), 'perfbrokerd: --bogus: no such option; see --help\n');
  t.is(reportOf('--node'), 'perfbrokerd: --node: no value; see --help\n');
  t.is(reportOf('--ceiling', 'user,x'), 'perfbrokerd: --ceiling user,x: not a valid value; see --help\n');
  t.is(reportOf('--user', '0'), 'perfbrokerd: --user 0: no process may have the uid or gid of root; see --help\n');
  t.is(
    reportOf('--opener-user', '60913', '--tracer-user=60913'),
    'perfbrokerd: --tracer-user 60913: another process of the daemon has this uid, and could signal this one; see --help\n',
  );
});
