/** A recording without a sample names the reason, where the machine shows it. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chownSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { onlineCpus } from '#dist/common/cpus.js';
import { ALICE, BOB, readableTree } from './as_user.js';
import { noPrivilege, OPEN_POLICY, ROOT, skip, startDaemon, type Daemon } from './daemon.js';

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test.serial : test.serial.skip;

/** Also processes of other users, whose maps the kernel hides. */
const ANY_USER = `${OPEN_POLICY}
[[rule]]
name = "others"
verdict = "allow"
subjects = { everyone = true }
targets = { any_user = true }
classes = ["user", "other-users"]
`;

let daemon: Daemon;
const directory = mkdtempSync(join(tmpdir(), 'perfbroker-silent-'));
test.serial.before(async () => {
  if (reason === null) daemon = await startDaemon({ policy: ANY_USER, args: ['--ceiling', 'user,raw,other-users'] });
});
test.serial.after.always(async () => {
  await daemon?.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** @returns standard error of a command that succeeded */
function perfbroker(t: ExecutionContext, ...args: readonly string[]): string {
  const { status, stderr } = spawnSync(join(ROOT, 'dist/bin/perfbroker'), args, {
    cwd: directory,
    env: { ...process.env, PERFBROKER_SOCKET: daemon.socket },
    encoding: 'utf8',
  });
  t.is(status, 0, stderr);
  return stderr;
}

function started(t: ExecutionContext, command: string, ...args: readonly string[]): ChildProcess {
  const child = spawn(command, args, { stdio: 'ignore' });
  t.teardown(() => child.kill('SIGKILL'));
  return child;
}

const NONE = / 0 samples, [^\n]*\n {2}no samples: /;

privileged('a process that sleeps is reported as one that slept', async (t) => {
  const { pid = -1 } = started(t, 'sleep', '300');
  // The exec of sleep itself takes CPU time.
  while (!readFileSync(`/proc/${pid}/stat`, 'utf8').includes(' (sleep) S '))
    await new Promise((resolve) => setTimeout(resolve, 10));
  await new Promise((resolve) => setTimeout(resolve, 300));
  const stderr = perfbroker(t, 'record', '-p', String(pid), '--duration', '0.3');
  t.regex(stderr, NONE);
  t.regex(stderr, /it used \d\.\d ms of CPU time in \d\.\d\d s\n$/);
  t.true(stderr.includes(`no samples: process ${pid} slept or waited`), stderr);
});

privileged('a stopped process is reported as stopped', async (t) => {
  const child = started(t, 'sh', '-c', 'while :; do :; done');
  child.kill('SIGSTOP');
  await new Promise((resolve) => setTimeout(resolve, 300));
  const stderr = perfbroker(t, 'record', '-p', String(child.pid), '--duration', '0.3');
  t.regex(stderr, NONE);
  t.true(stderr.includes(`no samples: process ${child.pid} is stopped: it used 0.0 ms of CPU time`), stderr);
});

privileged('context switches in user mode alone are reported as events of the kernel', (t) => {
  for (const command of [['record'], ['run', '--keep', 'all']]) {
    const stderr = perfbroker(t, ...command, '-e', 'context-switches:u', '--', 'sleep', '0.1');
    t.regex(stderr, NONE);
    t.regex(stderr, /context-switches:u: the event happens in kernel mode, and :u excludes kernel mode\n/);
  }
});

privileged('an event that did not occur is named', (t) => {
  const stderr = perfbroker(t, 'record', '-e', 'alignment-faults:u', '-c', '1', '--', 'true');
  t.regex(stderr, NONE);
  t.regex(stderr, /no samples: alignment-faults:u did not occur\n/);
});

privileged('a process on a cpu that -C excludes is reported with its cpu', (t) => {
  const [first, second] = onlineCpus();
  if (first === undefined || second === undefined) return skip(t, 'one cpu is online');
  const { pid } = started(t, 'taskset', '-c', String(second), 'sh', '-c', 'while :; do :; done');
  const stderr = perfbroker(t, 'record', '-C', String(first), '-p', String(pid), '--duration', '0.5');
  t.regex(stderr, NONE);
  t.true(stderr.includes(`process ${pid} last ran on cpu ${second}, which -C excludes`), stderr);
  return undefined;
});

privileged('samples without names are explained by the maps that the user may not read', (t) => {
  const { pid = -1 } = spawnedAs(t, BOB);
  const perfbrokerOf = join(readableTree(), 'dist/bin/perfbroker');
  const file = join(directory, 'unnamed.data');
  chownSync(directory, ALICE, ALICE);
  t.teardown(() => {
    chownSync(directory, 0, 0);
  });
  const record = ['record', '-o', file, '-p', String(pid), '--duration', '1'];
  const env = { ...process.env, PERFBROKER_SOCKET: daemon.socket };
  const asAlice = { uid: ALICE, gid: ALICE, cwd: '/', env, encoding: 'utf8' } as const;
  const { status, stderr } = spawnSync(perfbrokerOf, record, asAlice);
  t.is(status, 0, stderr);
  const line = `  uid ${ALICE} may not read the memory maps of process ${pid}: samples there have no names\n`;
  t.true(stderr.endsWith(line), stderr);
  const report = spawnSync(perfbrokerOf, ['report', file], asAlice).stdout;
  t.true(report.includes(`The file has no memory map of process ${pid}, so that its addresses have no names.`), report);
});

/** A process of this user that computes. */
function spawnedAs(t: ExecutionContext, id: number): ChildProcess {
  const child = spawn('sh', ['-c', 'while :; do :; done'], { stdio: 'ignore', uid: id, gid: id, cwd: '/' });
  t.teardown(() => child.kill('SIGKILL'));
  return child;
}
