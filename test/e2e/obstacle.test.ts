/** A denial names what keeps a process from being the caller's own, for real processes, with advice that fits the caller. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { ALICE, BOB, runAs, type World } from './as_user.js';
import { noPrivilege, OPEN_POLICY, skip, startDaemon, type Daemon } from './daemon.js';

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test : test.skip;

/** With the ceiling of a perfbrokerd that is started without --ceiling, and with one where the policy alone decides. */
let shipped: Daemon;
let open: Daemon;
const directory = mkdtempSync(join(tmpdir(), 'perfbroker-obstacle-'));
const unreadableSleep = join(directory, 'sleep');

test.before(async () => {
  if (reason !== null) return;
  shipped = await startDaemon();
  open = await startDaemon({ policy: OPEN_POLICY, args: ['--ceiling', 'user,other-users'] });
  chmodSync(directory, 0o755);
  copyFileSync('/bin/sleep', unreadableSleep);
  // Its user may execute it and not read it: the kernel makes the process undumpable (would_dump, fs/exec.c).
  chmodSync(unreadableSleep, 0o711);
});
test.after.always(async () => {
  if (reason === null) await Promise.all([shipped.stop(), open.stop()]);
  rmSync(directory, { recursive: true, force: true });
});

interface Obstacle {
  readonly code: string;
  readonly uid: number;
  readonly gid: number;
  /** Command that sleeps, under these ids. */
  readonly command: readonly string[];
  readonly text: RegExp;
  readonly remedy: RegExp;
}
const SLEEP = ['sleep', '300'];
const OBSTACLES: readonly Obstacle[] = [
  {
    code: 'uid',
    uid: BOB,
    gid: BOB,
    command: SLEEP,
    text: /its uid is 60124/,
    remedy: /as uid 60124 with gid 60124/,
  },
  {
    code: 'gid',
    uid: ALICE,
    gid: BOB,
    command: SLEEP,
    text: /its gid is 60124/,
    remedy: /Start the target with gid 60123/,
  },
  {
    code: 'not-dumpable',
    uid: ALICE,
    gid: ALICE,
    command: [unreadableSleep, '300'],
    text: /it is not dumpable/,
    remedy: /executable that its user can read/,
  },
  {
    code: 'capabilities',
    uid: 0,
    gid: 0,
    command: [
      'setpriv',
      `--reuid=${ALICE}`,
      `--regid=${ALICE}`,
      '--clear-groups',
      '--inh-caps=+net_raw',
      '--ambient-caps=+net_raw',
      ...SLEEP,
    ],
    text: /it has CAP_NET_RAW, which the caller does not have/,
    remedy: /without these capabilities/,
  },
  {
    code: 'user-namespace',
    uid: ALICE,
    gid: ALICE,
    command: ['unshare', '--user', ...SLEEP],
    text: /it is in another user namespace than the broker/,
    remedy: /outside of its container or user namespace/,
  },
];

type Sleeper = Pick<Obstacle, 'uid' | 'gid' | 'command'>;

/** @returns the pid of a process that sleeps until the test ends; null where the machine does not let it run so */
async function sleeper(
  t: ExecutionContext,
  { uid, gid, command: [program = '', ...rest] }: Sleeper,
): Promise<number | null> {
  const child = spawn(program, rest, { uid, gid, stdio: 'ignore', cwd: '/' });
  t.teardown(() => child.kill('SIGKILL'));
  while (child.exitCode === null) {
    if (child.pid !== undefined && readFileSync(`/proc/${child.pid}/comm`, 'utf8') === 'sleep\n') return child.pid;
    await delay(10);
  }
  return null;
}

interface Denial {
  readonly error: string;
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
  readonly details: { readonly reasons?: readonly { readonly code: string }[] };
}

const openPid = async ({ client, syntax }: World, pid: number): Promise<unknown> => {
  const connection = await client.connect();
  return (await connection.open({ targets: [{ pid }], events: syntax.parseEvents('task-clock:u') })).id;
};
const openUndumpable = async ({ client, syntax, native }: World, pid: number): Promise<unknown> => {
  native.makeUndumpable();
  const connection = await client.connect();
  return (await connection.open({ targets: [{ pid }], events: syntax.parseEvents('task-clock:u') })).id;
};

async function denialOf(t: ExecutionContext, opening: Promise<unknown>): Promise<Denial> {
  return (await t.throwsAsync(opening)) as unknown as Denial;
}

for (const obstacle of OBSTACLES) {
  privileged(`a denial names the obstacle and a way around it: ${obstacle.code}`, async (t) => {
    const pid = await sleeper(t, obstacle);
    if (pid === null) return skip(t, `${obstacle.command.join(' ')} does not work here`);
    const ceiling = await denialOf(t, runAs({ uid: ALICE, socket: shipped.socket }, openPid, pid));
    t.like(ceiling, { error: 'CeilingExceeded', code: 'other-users' });
    t.regex(ceiling.message, obstacle.text);
    t.regex(ceiling.remedy, obstacle.remedy);
    t.notRegex(ceiling.remedy, /runs? as the (?:caller|same user)/);
    const policy = await denialOf(t, runAs({ uid: ALICE, socket: open.socket }, openPid, pid));
    t.like(policy, { error: 'PolicyDenied', code: obstacle.code });
    t.regex(policy.message, obstacle.text);
    t.regex(policy.remedy, obstacle.remedy);
    t.is(policy.details.reasons?.[0]?.code, obstacle.code);
    return undefined;
  });
}

privileged(
  'a client that is not dumpable is refused under every ceiling, and the error names the client as the obstacle',
  async (t) => {
    const pid = await sleeper(t, { uid: ALICE, gid: ALICE, command: SLEEP });
    if (pid === null) throw new Error('sleep has ended');
    const denial = await denialOf(t, runAs({ uid: ALICE, socket: shipped.socket }, openUndumpable, pid));
    t.like(denial, { error: 'CeilingExceeded', code: 'other-users' });
    t.regex(denial.message, /the caller itself is not dumpable/);
    t.notRegex(denial.message, /namespace/);
    t.regex(denial.remedy, /^After a change of ids [^.]*, and connect after that\. /);
    const refused = await denialOf(t, runAs({ uid: ALICE, socket: open.socket }, openUndumpable, pid));
    t.like(refused, { error: 'PolicyDenied', code: 'access' }, 'where the opener does not check');
  },
);

privileged('a client that changes its ids after it has connected is advised to connect again', async (t) => {
  const describe = async ({ client }: World, id: number): Promise<unknown> => {
    const connection = await client.connect();
    process.setgroups!([]);
    process.setgid!(id);
    process.setuid!(id);
    return connection.describe();
  };
  const denial = await denialOf(t, runAs({ uid: 0, socket: shipped.socket }, describe, ALICE));
  t.like(denial, {
    error: 'PolicyDenied',
    code: 'access',
    message: 'the process of the caller has other uids or gids than its connection',
    remedy: 'Connect to the broker again after every change of ids.',
    details: { reasons: [] },
  });
});

/** Drops root's ids without an exec, as a daemon does that profiles its own child. */
const openChildAfterDrop = async ({ client, syntax }: World, id: number, dumpable: boolean): Promise<unknown> => {
  process.setgroups!([]);
  process.setgid!(id);
  process.setuid!(id);
  const { spawn } = await import('node:child_process');
  const child = spawn('sleep', ['300'], { stdio: 'ignore' });
  await new Promise((resolve) => child.once('spawn', resolve));
  try {
    const connection = await client.connect();
    const targets = [{ pid: dumpable ? child.pid! : process.pid }];
    return (await connection.open({ targets, events: syntax.parseEvents('task-clock:u') })).id;
  } finally {
    child.kill('SIGKILL');
  }
};

for (const target of ['its child', 'itself'] as const)
  privileged(
    `a client that dropped its ids without an exec and asks for ${target} is named as the obstacle, with the remedy`,
    async (t) => {
      for (const [daemon, error, code] of [
        [shipped, 'CeilingExceeded', 'other-users'],
        [open, 'PolicyDenied', 'access'],
      ] as const) {
        const opening = runAs({ uid: 0, socket: daemon.socket }, openChildAfterDrop, ALICE, target === 'its child');
        const denial = await denialOf(t, opening);
        t.like(denial, { error, code });
        t.regex(denial.message, /the caller itself is not dumpable/);
        t.notRegex(denial.message + denial.remedy, /namespace|capabilities \(/);
        t.regex(denial.remedy, /execute a program or call prctl\(PR_SET_DUMPABLE, 1\), and connect after that/);
      }
    },
  );

privileged('a target that dropped its ids without an exec is named as not dumpable, with the remedy', async (t) => {
  const drop = `import os,time; os.setgroups([]); os.setresgid(*[${ALICE}]*3); os.setresuid(*[${ALICE}]*3); print(flush=True); time.sleep(300)`;
  const child = spawn('python3', ['-c', drop], { stdio: ['ignore', 'pipe', 'ignore'], cwd: '/' });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  const denial = await denialOf(t, runAs({ uid: ALICE, socket: open.socket }, openPid, child.pid!));
  t.like(denial, { error: 'PolicyDenied', code: 'not-dumpable' });
  t.regex(denial.message, /it is not dumpable/);
  t.notRegex(denial.message + denial.remedy, /namespace/);
  t.regex(denial.remedy, /have it execute a program or call prctl\(PR_SET_DUMPABLE, 1\)/);
});
