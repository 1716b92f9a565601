/** Recordings of `perfbroker run`, the owner of the file, and the message when there is nothing to record. */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, lstatSync, readFileSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { buildWorkload } from '../collector/workload_program.js';
import { startDaemon, type Daemon } from '../e2e/daemon.js';
import {
  ALICE,
  NO_BROKER,
  end,
  isFinished,
  launcher,
  readRecording,
  run,
  start,
  unfit,
  userDirectory,
  type Setting,
} from './support.js';

/** kFallbackCollector in native/launcher/collector.h; kCollectorUser where it exists. */
const SERVICE_UID = Number(
  spawnSync('id', ['-u', 'perfbroker-collector'], { encoding: 'utf8' }).stdout.trim() || '60914',
);

const reason = unfit();
if (reason !== null) console.error(`skipped: ${reason}`);
const real = reason === null ? test.serial : test.serial.skip;

let daemon: Daemon;
let spin: string;
/** Alice's. */
const directory = reason === null ? userDirectory(ALICE) : { path: '', remove: () => undefined };
/** Root's, and no other user may write there. */
const rootDirectory = reason === null ? userDirectory(0) : { path: '', remove: () => undefined };
test.serial.before(async () => {
  if (reason !== null) return;
  daemon = await startDaemon();
  spin = buildWorkload(rootDirectory.path);
});
test.after.always(async () => {
  await daemon?.stop();
  directory.remove();
  rootDirectory.remove();
});

const asUser = (): Setting => ({ uid: ALICE, cwd: directory.path, socket: daemon.socket });
const asRoot = (): Setting => ({ cwd: rootDirectory.path, socket: daemon.socket });
const alone = (): Setting => ({ cwd: rootDirectory.path, socket: NO_BROKER });
const SUDO = { SUDO_UID: String(ALICE), SUDO_GID: String(ALICE) };

const places: readonly (readonly [string, () => Setting, number])[] = [
  ['a user, by the broker', asUser, ALICE],
  ['root, by the broker', asRoot, 0],
  ['root alone', alone, 0],
];
for (const [who, setting, owner] of places) {
  real(`a command is recorded with its threads and children: ${who}`, async (t) => {
    const { cwd } = setting();
    const { code, stdout, stderr } = await run(setting(), '--require', '-o', 'spin.data', spin, '0.4', '1', 'fork');
    t.is(code, 7, stderr);
    t.is(stdout, 'ready\n');
    t.regex(stderr, /^spin\.data: [\d,]+ samples?, 0 lost, .* \(the command ended\)\n$/);
    const path = join(cwd, 'spin.data');
    const { finished, processes, threads, programs } = readRecording(path);
    t.true(finished);
    t.deepEqual(programs, ['spin']);
    t.is(processes, 2);
    t.is(threads, 3);
    const { uid, mode } = lstatSync(path);
    t.is(uid, owner);
    t.is(mode & 0o777, 0o600);
    t.deepEqual(
      readdirSync(cwd).filter((name) => name.startsWith('.')),
      [],
    );
  });

  real(`folded stacks name the functions of the command: ${who}`, async (t) => {
    const { stderr } = await run(setting(), '-o', 'spin.folded', spin, '0.3');
    t.regex(stderr, /^spin\.folded: /);
    const path = join(setting().cwd, 'spin.folded');
    t.regex(readFileSync(path, 'utf8'), /;main;outer;(inner;)?hot_leaf \d+$/m);
    t.is(lstatSync(path).uid, owner);
    t.deepEqual(
      readdirSync(setting().cwd).filter((name) => name.startsWith('.')),
      [],
    );
  });

  real(`a command that is over at once leaves a complete file that perf reads: ${who}`, async (t) => {
    const { code, stderr } = await run(setting(), '-o', 'true.data', 'true');
    t.is(code, 0, stderr);
    const path = join(setting().cwd, 'true.data');
    t.deepEqual(readRecording(path).programs, ['true']);
    if (spawnSync('perf', ['--version']).error !== undefined) {
      t.log('there is no perf to read it with');
      return;
    }
    const script = execFileSync('perf', ['script', '-f', '-i', path, '--show-task-events', '--show-mmap-events']);
    t.regex(script.toString(), /COMM exec: true:/);
    t.regex(script.toString(), /MMAP2 .*\/true/);
    t.regex(script.toString(), /PERF_RECORD_EXIT/);
    const report = spawnSync('perf', ['report', '-f', '--stdio', '-i', path], { encoding: 'utf8' });
    t.is(report.status, 0, report.stderr);
    t.is(lstatSync(path).uid, owner);
  });
}

real('where a user has CAP_PERFMON and no broker is there, the launcher opens the events itself', async (t) => {
  const before = ['setpriv', '--reuid', String(ALICE), '--regid', String(ALICE), '--clear-groups'];
  const perfmon = [...before, '--inh-caps', '+perfmon', '--ambient-caps', '+perfmon'];
  const setting = { cwd: directory.path, socket: NO_BROKER, before: perfmon };
  // Kernel mode, two events in a group, and a ring above the limit of RLIMIT_MEMLOCK.
  const events = ['-e', '{cpu-clock,page-faults:u}', '-e', 'task-clock', '-F', '500'];
  const { stderr } = await run(setting, '--require', ...events, '-o', 'perfmon.data', spin, '0.3');
  t.regex(stderr, /^perfmon\.data: /m);
  t.true(readRecording(join(directory.path, 'perfmon.data')).samples > 0);
});

real('the rings of the stand-alone mode do not count against the memlock limit', async (t) => {
  const setting = { ...alone(), before: ['sh', '-c', 'ulimit -l 64; exec "$@"', 'sh'] };
  const { stderr } = await run(setting, '--require', '-m', '8M', '-o', 'big.data', 'true');
  t.regex(stderr, /^big\.data: /);
});

real('a tracepoint is found for a collector that may not look into tracefs', async (t) => {
  if (!existsSync('/sys/kernel/tracing/events/sched/sched_process_exec/id')) return void t.pass('skipped: no tracefs');
  const event = 'sched:sched_process_exec';
  const script = 'true; /bin/true; exec /bin/true';
  const { stderr } = await run(alone(), '--require', '-e', event, '-o', 'exec.data', 'sh', '-c', script);
  t.regex(stderr, /^exec\.data: [1-9]\d* samples?/);
  const unknown = await run(alone(), '--require', '-e', 'sched:no_such_thing', 'true');
  t.is(unknown.code, 125);
  t.regex(unknown.stderr, /no tracepoint sched:no_such_thing/);
});

real('the collector of a privileged launcher has no privilege and another uid before the command begins', async (t) => {
  const cases: readonly (readonly [Setting, number])[] = [
    [alone(), SERVICE_UID],
    [asRoot(), SERVICE_UID],
    [{ ...alone(), cwd: directory.path, env: SUDO }, ALICE],
  ];
  for (const [setting, uid] of cases) {
    const command = start(setting, launcher(), 'run', '-o', 'who.data', 'sh', '-c', 'echo here; sleep 0.4');
    await command.printed(/here/);
    const marker = `PERFBROKER_COLLECTOR=${command.child.pid} `;
    const pid = readdirSync('/proc').find((name) => /^\d+$/.test(name) && environ(name).includes(marker));
    t.truthy(pid);
    const tasks = readdirSync(`/proc/${pid}/task`);
    t.true(tasks.length > 1);
    for (const tid of tasks) {
      const status = readFileSync(`/proc/${pid}/task/${tid}/status`, 'utf8');
      t.regex(status, new RegExp(`^Uid:\t${uid}\t${uid}\t${uid}\t${uid}$`, 'm'));
      for (const set of ['Inh', 'Prm', 'Eff', 'Bnd', 'Amb']) t.regex(status, new RegExp(`^Cap${set}:\t0{16}$`, 'm'));
      t.regex(status, /^NoNewPrivs:\t1$/m);
      t.regex(status, uid === ALICE ? /^Gid:\t60123\t/m : /^Groups:\t *$/m);
    }
    t.is((await command.ended).code, 0);
    t.is(lstatSync(join(setting.cwd, 'who.data')).uid, uid === ALICE ? ALICE : 0);
  }
});

real("under sudo the file is created with the invoking user's rights, and never with root's", async (t) => {
  const output = join(rootDirectory.path, 'mine.data');
  const { code, stdout, stderr } = await run({ ...alone(), env: SUDO }, '-o', output, 'echo', 'ran');
  t.is(code, 0);
  t.is(stdout, 'ran\n');
  t.regex(stderr, /^perfbroker: echo runs unprofiled: .*mine\.data cannot be created: EACCES: .*mine\.data'\n/);
  t.false(existsSync(output));
});

real('an older file is kept, and a symbolic link is not followed', async (t) => {
  for (const setting of [asUser(), alone()]) {
    await run(setting, '-o', 'again.data', 'true');
    const first = readFileSync(join(setting.cwd, 'again.data'));
    await run(setting, '-o', 'again.data', 'true');
    t.deepEqual(readFileSync(join(setting.cwd, 'again.data.old')), first);
    const victim = join(setting.cwd, `victim-${setting.uid ?? 0}`);
    symlinkSync(victim, join(setting.cwd, 'link.data'));
    const { code, stderr } = await run(setting, '--require', '-o', 'link.data', 'true');
    t.is(code, 125);
    t.regex(stderr, /link\.data cannot be created/);
    t.false(existsSync(victim));
    const folder = await run(setting, '--require', '-o', '/usr', 'true');
    t.regex(folder.stderr, /\/usr cannot be created: (EISDIR|\/usr is not a regular file)/);
  }
});

real(
  'without a broker and without a capability the command runs unprofiled, or with --require not at all',
  async (t) => {
    const setting = { ...asUser(), socket: NO_BROKER };
    const lax = await run(setting, 'echo', 'ran');
    t.is(lax.code, 0);
    t.is(lax.stdout, 'ran\n');
    t.regex(
      lax.stderr,
      /^perfbroker: echo runs unprofiled: there is no broker \(.*No such file.*\), and .*CAP_PERFMON.*\n$/,
    );
    const strict = await run(setting, '--require', 'echo', 'ran');
    t.is(strict.code, 125);
    t.is(strict.stdout, '');
    t.regex(strict.stderr, /^perfbroker: echo was not run: /);
  },
);

real('a command runs unprofiled where the policy denies its events, and the message gives the reason', async (t) => {
  const lax = await run(asUser(), '-e', 'cpu-clock', 'echo', 'ran');
  t.is(lax.stdout, 'ran\n');
  t.regex(lax.stderr, /^perfbroker: echo runs unprofiled: .*kernel.*\n$/);
  const strict = await run(asUser(), '--require', '-e', 'cpu-clock', 'echo', 'ran');
  t.is(strict.code, 125);
  t.is(strict.stdout, '');
  t.regex(strict.stderr, /what to do: /);
});

real('Ctrl-C to the process group ends the command and leaves a complete file', async (t) => {
  const command = start({ ...asUser(), detached: true }, launcher(), 'run', '-o', 'interrupted.data', spin, '20');
  await command.printed(/ready/);
  process.kill(-command.child.pid, 'SIGINT');
  const { code, stderr } = await command.ended;
  t.is(code, 130);
  t.regex(stderr, /^interrupted\.data: .*\(the command ended\)/);
  t.true(readRecording(join(directory.path, 'interrupted.data')).finished);
});

real(
  'a command that is killed leaves a complete file, and --duration ends the recording and not the command',
  async (t) => {
    const killed = start(asUser(), launcher(), 'run', '-o', 'killed.data', spin, '20');
    await killed.printed(/ready/);
    killed.child.kill('SIGKILL');
    t.is((await killed.ended).code, 137);
    t.true(readRecording(join(directory.path, 'killed.data')).finished);
    const { code, stdout, stderr } = await run(
      asUser(),
      ...['--duration', '0.1', '-o', 'short.data', 'sh', '-c', `sleep 0.4; echo after; exit 4`],
    );
    t.is(code, 4);
    t.is(stdout, 'after\n');
    t.regex(stderr, /the duration is over/);
  },
);

real('a launcher that is killed before the command begins leaves no file and no collector', async (t) => {
  const command = start(asUser(), launcher(), 'run', '-o', 'early.data', 'sleep', '5');
  command.child.kill('SIGKILL');
  // Standard error ends with the collector.
  t.is((await command.ended).code, 137);
  t.false(existsSync(join(directory.path, 'early.data')));
});

real('programs whose events the kernel removed are named, and an idle one is not', async (t) => {
  const setuid = copyOf(spin, 'setuid', 0o4755);
  const unreadable = copyOf(spin, 'unreadable', 0o711);
  for (const [program, name] of [
    [setuid, 'setuid'],
    [unreadable, 'unreadable'],
  ] as const) {
    const { stderr } = await run(asUser(), '-o', 'hidden.data', program, '0.05');
    t.regex(stderr, new RegExp(`^hidden\\.data: 0 samples.*\n  not observed, .*setuid.*: ${name} \\(\\d+\\)\n$`));
  }
  const child = await run(asUser(), '-o', 'hidden.data', 'sh', '-c', `${setuid} 0.05; ${spin} 0.1; true`);
  t.regex(child.stderr, /: setuid \(\d+\)\n$/);
  t.true(readRecording(join(directory.path, 'hidden.data')).samples > 5);
  const idle = await run(asUser(), '-o', 'idle.data', 'sleep', '0.1');
  t.notRegex(idle.stderr, /not observed/);
});

real('a program without events that goes on is reported while it does', async (t) => {
  const setuid = copyOf(spin, 'lasting', 0o4755);
  const command = start(asUser(), launcher(), 'run', '-o', 'lasting.data', setuid, '600');
  // It spins until it is ended, and that is after the report.
  await new Promise((resolve) => command.child.stderr?.once('data', resolve));
  t.is(command.child.exitCode, null);
  command.child.kill('SIGKILL');
  const { stderr } = await command.ended;
  t.regex(stderr, /\(the kernel removed the events\)\n.*may not be observed/);
});

real('with -q nothing is printed, and a reader of standard error does not wait for the collector', async (t) => {
  const { stderr } = await end(asUser(), launcher(), 'run', '-q', '-o', 'quiet.data', 'true');
  t.is(stderr, '');
  for (let tries = 0; tries < 100 && !isFinished(join(directory.path, 'quiet.data')); tries++)
    await new Promise((resolve) => setTimeout(resolve, 20));
  t.true(isFinished(join(directory.path, 'quiet.data')));
});

real('node settings of the command do not reach the collector, but do reach the command', async (t) => {
  const setting = { ...asUser(), env: { NODE_OPTIONS: '--no-such-option', LD_PRELOAD: '' } };
  const { stdout, stderr } = await run(setting, '--require', '-o', 'node.data', 'sh', '-c', 'echo $NODE_OPTIONS');
  t.is(stdout, '--no-such-option\n');
  t.regex(stderr, /^node\.data: /);
});

function copyOf(program: string, name: string, mode: number): string {
  const copy = join(rootDirectory.path, name);
  copyFileSync(program, copy);
  chmodSync(copy, mode);
  return copy;
}

function environ(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1');
  } catch {
    return '';
  }
}
