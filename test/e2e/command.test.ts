/** A command that is started under observation notices nothing of it. */
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { connect, type Client } from '#dist/client/index.js';
import { native } from '#dist/native.js';
import { listenTo } from '../tools/said.js';
import { noPrivilege, ROOT, startDaemon, type Daemon } from './daemon.js';

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test.serial : test.serial.skip;
const run = promisify(execFile);

let daemon: Daemon;
test.serial.before(async () => {
  if (reason === null) daemon = await startDaemon();
});
test.serial.after.always(async () => {
  await daemon?.stop();
});

const PERFBROKER = join(ROOT, 'dist/bin/perfbroker');

function environment(): NodeJS.ProcessEnv {
  return { ...process.env, PERFBROKER_SOCKET: daemon.socket };
}

const FLAGS = 'import fcntl,time; time.sleep(0.3); print([fcntl.fcntl(fd,fcntl.F_GETFL)&0o4000 for fd in (0,1,2)])';

for (const [command, options] of [
  ['stat', []],
  ['record', ['-o', '/dev/null.data']],
] as const) {
  privileged(`the pipes that a command shares with perfbroker ${command} stay blocking`, async (t) => {
    const output = options.map((option) => option.replace('/dev/null', join(daemon.directory, 'out')));
    const { stdout } = await run(
      join(ROOT, 'dist/bin/perfbroker'),
      [command, ...output, '--', 'python3', '-c', FLAGS],
      {
        env: { ...process.env, PERFBROKER_SOCKET: daemon.socket },
      },
    );
    t.is(stdout.trim(), '[0, 0, 0]');
  });
}

/** Exit code with a standard error that no process reads, not even at the beginning. */
async function endedUnheard(directory: string, ...args: readonly string[]): Promise<number> {
  const [ours, theirs] = native.socketPair('stream');
  native.close(ours);
  const child = spawn(PERFBROKER, args, { stdio: ['ignore', 'ignore', theirs], cwd: directory, env: environment() });
  native.close(theirs);
  return new Promise((resolve) => child.once('exit', (code) => resolve(code ?? -1)));
}

privileged('an unread standard error changes neither the exit code nor the file of a recording', async (t) => {
  const directory = mkdtempSync(join(daemon.directory, 'unheard-'));
  const command = ['--', 'sh', '-c', 'sleep 0.3; touch done; exit 7'];
  t.is(await endedUnheard(directory, 'record', '-o', 'x.folded', ...command), 7);
  t.deepEqual(readdirSync(directory).sort(), ['done', 'x.folded']);
  rmSync(join(directory, 'done'));
  t.is(await endedUnheard(directory, 'record', ...command), 7);
  t.deepEqual(readdirSync(directory).sort(), ['done', 'perf.data', 'x.folded']);
});

privileged(
  'stat waits for its command when no process reads the intervals, and ends where there is no command',
  async (t) => {
    const directory = mkdtempSync(join(daemon.directory, 'unread-'));
    t.is(await endedUnheard(directory, 'stat', '-I', '20', '--', 'sh', '-c', 'sleep 0.3; touch done; exit 7'), 7);
    t.deepEqual(readdirSync(directory), ['done']);
    t.is(await endedUnheard(directory, 'stat', '-I', '20', '-p', String(process.pid)), 0);
  },
);

async function perfbroker(
  directory: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = environment(),
): Promise<{ code: number; stderr: string }> {
  const child = spawn(PERFBROKER, args, { stdio: ['ignore', 'ignore', 'pipe'], cwd: directory, env });
  const stderr = listenTo(child, 'stderr');
  const code = await new Promise<number>((resolve) => child.once('close', (status) => resolve(status ?? -1)));
  return { code, stderr: stderr.text() };
}

privileged('a request that fails leaves the file of an earlier one, and its older one, alone', async (t) => {
  const directory = mkdtempSync(join(daemon.directory, 'kept-'));
  const files = { 'x.txt': 'newer', 'x.txt.old': 'older' };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  for (const command of ['stat', 'record'])
    t.is((await perfbroker(directory, [command, '-e', 'no:such', '-o', 'x.txt', '-p', '1'])).code, 1, command);
  t.deepEqual(contentOf(directory), files);
});

privileged(
  'a command that cannot be executed leaves the file of an earlier one, and its older one, alone',
  async (t) => {
    const directory = mkdtempSync(join(daemon.directory, 'mistyped-'));
    const files = { 'x.folded': 'stacks', 'x.folded.old': 'older', 'x.txt': 'result', 'x.txt.old': 'older' };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
    for (const [command, output] of [
      ['record', 'x.txt'],
      ['record', 'x.folded'],
      ['record', 'new'],
      ['stat', 'x.txt'],
      ['stat', 'new'],
    ] as const)
      for (const [word, code] of [
        ['./mistyped', 127],
        ['/etc/passwd', 126],
      ] as const) {
        const ended = await perfbroker(directory, [command, '-o', output, '--', word]);
        t.is(ended.code, code, ended.stderr);
        t.regex(ended.stderr, /^perfbroker: \S+: [^\n]+\n$/, command);
      }
    t.deepEqual(contentOf(directory), files);
    // The same exit code from a command that was executed is a result.
    t.is((await perfbroker(directory, ['stat', '-o', 'x.txt', '--', 'sh', '-c', 'exit 127'])).code, 127);
    t.regex(contentOf(directory)['x.txt'] ?? '', /time elapsed/);
    t.is(contentOf(directory)['x.txt.old'], 'result');
  },
);

function contentOf(directory: string): Readonly<Record<string, string>> {
  return Object.fromEntries(readdirSync(directory).map((name) => [name, readFileSync(join(directory, name), 'utf8')]));
}

privileged('a full disk ends neither CMD nor its output, and stat reports it once', async (t) => {
  const directory = mkdtempSync(join(daemon.directory, 'full-'));
  try {
    await run('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', directory]);
  } catch {
    t.pass('skipped: mount is not permitted');
    return;
  }
  t.teardown(() => run('umount', ['-l', directory]));
  // The room of one page remains, then none.
  for (const size of [60 << 10, 64 << 10]) {
    writeFileSync(join(directory, 'fill'), Buffer.alloc(size));
    for (const intervals of [['-I', '10'], []]) {
      const child = spawn(
        PERFBROKER,
        ['stat', ...intervals, '-e', EIGHT, '-o', 'x', '--', 'sh', '-c', 'sleep 0.5; echo done; exit 7'],
        { stdio: ['ignore', 'pipe', 'pipe'], cwd: directory, env: environment() },
      );
      const [stdout, stderr] = [listenTo(child, 'stdout'), listenTo(child, 'stderr')];
      const code = await new Promise<number>((resolve) => child.once('close', (status) => resolve(status ?? -1)));
      rmSync(join(directory, 'x'));
      rmSync(join(directory, 'x.old'), { force: true });
      t.is(stdout.text(), 'done\n');
      t.is(code, 7);
      if (size === 64 << 10 || intervals.length > 0)
        t.regex(
          stderr.text(),
          /^perfbroker: writing x failed: no space is left \(ENOSPC\)\n {2}cause: [^\n]*\n {2}what to do: Free space[^\n]*\n$/,
        );
    }
  }
});

/** Enough that the intervals of half a second need more than a page. */
const EIGHT = Array.from({ length: 8 }, () => 'page-faults:u').join(',');

const SHORT_LEASE = `
[[rule]]
name = "short"
verdict = "allow"
subjects = { everyone = true }
targets = { same_user = true }
classes = ["user", "kernel"]
limits = { lease = "1 s" }
`;

privileged('the end of the lease ends stat and record, which report it, and CMD goes on', async (t) => {
  const short = await startDaemon({ policy: SHORT_LEASE });
  try {
    const directory = mkdtempSync(join(short.directory, 'lease-'));
    const env = { ...environment(), PERFBROKER_SOCKET: short.socket };
    for (const [command, words] of [
      ['stat', /^perfbroker: the grant's lease has expired: nothing was counted after \d+\.\d\d s$/m],
      ['record', /\(the grant's lease has expired\)$/m],
    ] as const) {
      t.regex((await perfbroker(directory, [command, '-p', String(process.pid)], env)).stderr, words);
      // CMD ends only when it has been reported that the rest of it is missing.
      const fifo = join(directory, `${command}.fifo`);
      await run('mkfifo', [fifo]);
      const child = spawn(PERFBROKER, [command, '--', 'sh', '-c', 'read -r line <"$0"; exit 9', fifo], {
        stdio: ['ignore', 'ignore', 'pipe'],
        cwd: directory,
        env,
      });
      const code = new Promise((resolve) => child.once('close', resolve));
      await listenTo(child, 'stderr').match(/nothing (was counted|is recorded) after \d\.\d\d s/);
      writeFileSync(fifo, 'line\n');
      t.is(await code, 9, 'CMD goes on');
    }
  } finally {
    await short.stop();
  }
});

privileged('a revoke ends stat, record and the recording of run, which say so', async (t) => {
  const directory = mkdtempSync(join(daemon.directory, 'revoked-'));
  for (const [args, words] of [
    [
      ['stat', '-p', String(process.pid)],
      /^perfbroker: the grant was revoked: nothing was counted after \d+\.\d\d s$/m,
    ],
    [['record', '-p', String(process.pid)], /\(the grant was revoked\)$/m],
    [['run', '-o', 'run.data', '--', 'sleep', '100'], /\(the grant was revoked\)$/m],
  ] as const) {
    const child = spawn(PERFBROKER, args, { stdio: ['ignore', 'ignore', 'pipe'], cwd: directory, env: environment() });
    const stderr = listenTo(child, 'stderr');
    try {
      const client = await connect({ socket: daemon.socket });
      const [grant] = await grantsOf(client);
      await client.revoke(grant!.id);
      await client.close();
      await stderr.match(words);
    } finally {
      child.kill();
    }
    t.pass(args.join(' '));
  }
});

/** Waits until there are some. */
async function grantsOf(client: Client): Promise<readonly { readonly id: string }[]> {
  for (;;) {
    const grants = await client.listGrants();
    if (grants.length > 0) return grants;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

privileged('SIGUSR1 opens no debugger, neither in a command nor in the broker', async (t) => {
  const args = ['stat', '-p', String(process.pid)];
  const child = spawn(PERFBROKER, args, { stdio: ['ignore', 'ignore', 'pipe'], env: environment() });
  const stderr = listenTo(child, 'stderr');
  const ended = new Promise((resolve) => child.once('close', resolve));
  const client = await connect({ socket: daemon.socket });
  await grantsOf(client);
  for (const pid of [child.pid!, daemon.parts.broker]) process.kill(pid, 'SIGUSR1');
  // What node starts it does before it comes to this, and says so.
  await client.describe();
  await client.close();
  child.kill('SIGINT');
  t.is(await ended, 0);
  t.notRegex(stderr.text(), /Debugger/);
  t.notRegex(daemon.log(), /Debugger/);
  for (const program of ['cli', 'bus', 'broker'])
    t.regex(
      readFileSync(join(ROOT, 'dist', program, 'main.js'), 'utf8').replace(/^\/\*[^]*?\*\/\n/, ''),
      /^(import '.\/lifecycle\/undumpable.js';\n)?import '..\/common\/no_debugger.js';/,
      program,
    );
});
