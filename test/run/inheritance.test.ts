/** State that CMD has and inherits under `perfbroker run`, compared with the same program run on its own. */
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, readFileSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { startDaemon, type Daemon } from '../e2e/daemon.js';
import { compileTools, type CompiledTools } from '../tools/compile.js';
import {
  ALICE,
  NO_BROKER,
  end,
  launcher,
  run,
  start,
  unfit,
  userDirectory,
  isFinished,
  type Setting,
} from './support.js';

const reason = unfit();
if (reason !== null) console.error(`skipped: ${reason}`);
const real = reason === null ? test.serial : test.serial.skip;

let daemon: Daemon;
let tools: CompiledTools;
const directory = reason === null ? userDirectory(ALICE) : { path: '', remove: () => undefined };
test.serial.before(async () => {
  if (reason !== null) return;
  daemon = await startDaemon();
  tools = compileTools('inherited', 'landmark');
  spawnSync('chmod', ['-R', 'a+rX', join(tools.path('.'))]);
});
test.after.always(async () => {
  await daemon?.stop();
  tools?.remove();
  directory.remove();
});

const asUser = (): Setting => ({ uid: ALICE, cwd: directory.path, socket: daemon.socket });
const asRoot = (): Setting => ({ cwd: directory.path, socket: daemon.socket });
const alone = (): Setting => ({ cwd: directory.path, socket: NO_BROKER });

/** Lines that differ in every run: ids of the process, memory, number of waits. */
const VOLATILE =
  /^status (Tgid|Pid|NStgid|NSpid|Vm\w+|Rss\w+|SigQ|\w*voluntary_ctxt_switches|x86_\w+):|^fdinfo [12] ino/;
const CAPABILITIES = /^status Cap(Prm|Eff|Bnd):/;

function lines(text: string): readonly string[] {
  return text.split('\n').filter((line) => !VOLATILE.test(line));
}

async function compare(setting: Setting): Promise<readonly string[]> {
  const inherited = tools.path('inherited');
  const bare = await end(setting, inherited, 'prepare', inherited, 'report');
  const options = ['--require', '-o', join(directory.path, 'inherited.data')];
  const wrapped = await end(setting, inherited, 'prepare', launcher(), 'run', ...options, inherited, 'report');
  if (bare.code !== 0 || wrapped.code !== 0) throw new Error(`${bare.stderr}${wrapped.stderr}`);
  const [left, right] = [lines(bare.stdout), lines(wrapped.stdout)];
  if (left.length < 80) throw new Error(`too little was compared: ${bare.stdout}`);
  if (!/^\S+: \d+ samples?/m.test(wrapped.stderr)) throw new Error(`nothing was recorded: ${wrapped.stderr}`);
  return [
    ...left.filter((line) => !right.includes(line)).map((line) => `- ${line}`),
    ...right.filter((line) => !left.includes(line)).map((line) => `+ ${line}`),
  ];
}

real("a user's command inherits exactly the same as without perfbroker, even an awkward state", async (t) => {
  t.deepEqual(await compare(asUser()), []);
});

real(
  "root's command inherits the same except for the capabilities taken away, with a broker and without one",
  async (t) => {
    for (const setting of [asRoot(), alone()]) {
      const differences = await compare(setting);
      t.is(differences.length, 6);
      for (const line of differences) t.regex(line.slice(2), CAPABILITIES);
    }
  },
);

real('a command can wait only for a child that existed before', async (t) => {
  const inherited = tools.path('inherited');
  // It waits for as long as the collector needs to end, which is none of its children.
  const { stdout } = await end(asUser(), inherited, 'prepare', launcher(), 'run', inherited, 'report', '400');
  t.regex(stdout, /^child ended with 42\nchildren 1 ECHILD$/m);
  const childless = await run(asUser(), inherited, 'report', '100');
  t.regex(childless.stdout, /^children 0 ECHILD$/m);
});

real("the launcher's pid becomes the command's, and the shell's $! is that pid", async (t) => {
  const script = `"$1" run sh -c 'echo $$' & echo $!; wait $!; echo $?`;
  const { stdout } = await end(asUser(), 'sh', '-c', script, 'sh', launcher());
  const [first, second, code] = stdout.trim().split('\n');
  t.is(first, second);
  t.is(code, '0');
});

real('exit codes and signals of the command are its own', async (t) => {
  t.is((await run(asUser(), 'sh', '-c', 'exit 7')).code, 7);
  t.is((await run(asUser(), 'sh', '-c', 'kill -9 $$')).code, 137);
  const script = `"$1" run sh -c 'kill -9 $$'; echo "shell saw $?"`;
  t.regex((await end(asUser(), 'sh', '-c', script, 'sh', launcher())).stdout, /shell saw 137/);
});

real('a missing command gives 127, one that cannot be executed 126, and neither leaves anything behind', async (t) => {
  const output = join(directory.path, 'absent.data');
  const absent = await run(asUser(), '-o', output, 'no-such-program');
  t.is(absent.code, 127);
  t.regex(absent.stderr, /^perfbroker: no-such-program: No such file/);
  const closed = await run(asUser(), '-o', output, '/etc/passwd');
  t.is(closed.code, 126);
  t.regex(closed.stderr, /^perfbroker: \/etc\/passwd: Permission denied/);
  t.throws(() => readFileSync(output), { code: 'ENOENT' });
  const asOwner = await run(alone(), '-o', output, 'no-such-program');
  t.is(asOwner.code, 127);
  t.throws(() => readFileSync(output), { code: 'ENOENT' });
});

real('the collector is in a session of its own, an orphan, and holds none of the pipes of the command', async (t) => {
  const command = start(asUser(), launcher(), 'run', '-q', 'sh', '-c', 'echo here; sleep 3');
  await command.printed(/here/);
  const collector = collectorOf(command.child.pid);
  const stat = readFileSync(`/proc/${collector}/stat`, 'latin1')
    .replace(/^.*\) /, '')
    .split(' ');
  t.not(Number(stat[1]), command.child.pid, 'parent');
  t.is(Number(stat[3]), collector, 'session');
  const pipes = ['stdout', 'stderr'].map((name) =>
    readlinkSync(`/proc/${command.child.pid}/fd/${name === 'stdout' ? 1 : 2}`),
  );
  // It lets go of them while the command runs already.
  const holds = (): boolean => openFiles(collector).some((file) => pipes.includes(file));
  for (let tries = 0; holds() && tries < 20; tries++) await new Promise((resolve) => setTimeout(resolve, 100));
  t.false(holds(), 'with -q standard error is let go too');
  await command.ended;
});

function openFiles(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${fd}`)];
    } catch {
      return []; // closed since
    }
  });
}

real('a command without standard fds has none, and is recorded', async (t) => {
  const listing = join(directory.path, 'fds');
  const list = async (setting: Setting, ...wrapper: readonly string[]): Promise<readonly string[]> => {
    const script = `exec 3>"$1"; shift; exec "$@" sh -c 'ls /proc/$$/fd >&3' 0<&- 1>&- 2>&-`;
    const { code } = await end(setting, 'sh', '-c', script, 'sh', listing, ...wrapper);
    t.is(code, 0);
    const found = readFileSync(listing, 'utf8').split('\n');
    rmSync(listing);
    return found;
  };
  for (const setting of [asUser(), alone()]) {
    const bare = await list(setting);
    t.deepEqual(await list(setting, launcher(), 'run', '-o', 'closed.data'), bare);
    t.false(bare.includes('0'));
    const path = join(directory.path, 'closed.data');
    for (let tries = 0; tries < 100 && !isFinished(path); tries++)
      await new Promise((resolve) => setTimeout(resolve, 20));
    t.true(isFinished(path));
    rmSync(path);
  }
});

real('the program refuses to run setuid, because it would execute anything for any user', async (t) => {
  const copy = join(directory.path, 'setuid-perfbroker');
  copyFileSync(launcher(), copy);
  chmodSync(copy, 0o4755);
  const { code, stdout, stderr } = await end(asUser(), copy, 'run', 'echo', 'ran');
  t.is(code, 125);
  t.is(stdout, '');
  t.regex(stderr, /must not be setuid/);
});

real('gdb hits a breakpoint in the command, which is the process that gdb started', async (t) => {
  if (spawnSync('gdb', ['--version']).error !== undefined) return void t.pass('skipped: there is no gdb');
  const steps = ['set breakpoint pending on', 'break landmark', 'run', 'info inferiors', 'continue'];
  const gdb = ['gdb', '-q', '-nx', '-batch', ...steps.flatMap((step) => ['-ex', step])];
  for (const setting of [asUser(), alone()]) {
    const output = join(directory.path, `gdb-${setting.uid ?? 0}.data`);
    const { stdout, stderr } = await end(
      { ...setting, env: { HOME: '/tmp', DEBUGINFOD_URLS: '' } },
      ...gdb,
      ...['--args', launcher(), 'run', '-o', output, tools.path('landmark')],
    );
    t.regex(stdout, /Breakpoint 1, (0x[0-9a-f]+ in )?landmark/, stderr);
    t.regex(stdout, /\* 1 +process \d+ .*landmark/);
    t.regex(stdout, /exited with code 05/);
    t.true(readFileSync(output).length > 0);
  }
});

real('strace sees the command executed by the process that it traces', async (t) => {
  if (spawnSync('strace', ['-V']).error !== undefined) return void t.pass('skipped: there is no strace');
  const { code, stderr } = await end(asUser(), 'strace', '-e', 'trace=execve', launcher(), 'run', 'sh', '-c', 'exit 3');
  t.is(code, 3, stderr);
  t.regex(stderr, /execve\("[^"]*\/sh", \["sh", "-c", "exit 3"\]/);
  t.regex(stderr, /exited with 3/);
});

/** The process that was started for a launcher. */
function collectorOf(pid: number): number {
  const listed = spawnSync('sh', ['-c', `grep -lzs "^PERFBROKER_COLLECTOR=${pid} " /proc/[0-9]*/environ`], {
    encoding: 'utf8',
  }).stdout;
  const found = /\/proc\/(\d+)\//.exec(listed)?.[1];
  if (found === undefined) throw new Error(`there is no collector of ${pid}`);
  return Number(found);
}
