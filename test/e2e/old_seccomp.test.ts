/** The command line under a seccomp filter of the time before pidfds. */
import { spawn, spawnSync } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { compileTools, type CompiledTools } from '../tools/compile.js';
import { noPrivilege, ROOT, skip, startDaemon, type Daemon } from './daemon.js';

const reason =
  noPrivilege() ?? (spawnSync('gcc', ['--version']).error === undefined ? null : 'there is no gcc on this machine');
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test.serial : test.serial.skip;

let daemon: Daemon;
let tools: CompiledTools;
test.serial.before(async () => {
  if (reason !== null) return;
  tools = compileTools('old_seccomp');
  daemon = await startDaemon();
});
test.serial.after.always(async () => {
  await daemon?.stop();
  tools?.remove();
});

interface Ended {
  readonly status: number | null;
  readonly stderr: string;
}

/** @param before words of a command that starts the filter */
function underFilter(error: number, args: readonly string[], before: readonly string[] = []): Ended {
  const [program = '', ...rest] = [
    ...before,
    ...[tools.path('old_seccomp'), String(error), join(ROOT, 'dist/bin/perfbroker'), ...args],
  ];
  return spawnSync(program, rest, {
    cwd: daemon.directory,
    env: { ...process.env, PERFBROKER_SOCKET: daemon.socket },
    encoding: 'utf8',
    timeout: 60_000,
  });
}

function busy(t: ExecutionContext, forMs?: number): number {
  const limit = forMs === undefined ? [] : ['timeout', String(forMs / 1000)];
  const [program, ...rest] = [...limit, 'sh', '-c', 'while :; do :; done'] as const;
  const child = spawn(program, rest, { stdio: 'ignore' });
  t.teardown(() => child.kill('SIGKILL'));
  return child.pid ?? -1;
}

for (const name of ['EPERM', 'ENOSYS'] as const) {
  const error = constants.errno[name];

  privileged(`a process is counted and recorded by its number where the filter answers ${name}`, (t) => {
    const pid = busy(t);
    const stat = underFilter(error, ['stat', '-e', 'task-clock:u', '-p', String(pid), '--duration', '0.2']);
    t.is(stat.status, 0, stat.stderr);
    t.regex(stat.stderr, /task-clock:u/);
    const record = underFilter(error, ['record', '-p', String(pid), '--duration', '0.5']);
    t.is(record.status, 0, record.stderr);
    t.regex(record.stderr, / [1-9][\d,]* samples?, /);
  });

  privileged(`a recording ends with its process where the filter answers ${name}`, (t) => {
    const stat = underFilter(error, ['stat', '-e', 'task-clock:u', '-p', String(busy(t, 1500))]);
    t.is(stat.status, 0, stat.stderr);
    t.regex(stat.stderr, /task-clock:u/);
  });

  privileged(`another pid namespace gives one sentence with the call where the filter answers ${name}`, (t) => {
    const before = ['unshare', '--pid', '--fork', '--mount-proc'];
    if (spawnSync(before[0] ?? '', [...before.slice(1), 'true']).status !== 0)
      return skip(t, 'unshare is not permitted');
    const { status, stderr } = underFilter(error, ['stat', '-p', '1', '--duration', '0.1'], before);
    t.is(status, 1, stderr);
    t.regex(
      stderr,
      /^perfbroker: [^\n]*may not call pidfd_open\(2\)[^\n]*\n {2}cause: [^\n]*\n {2}what to do: [^\n]*\n$/,
    );
    return undefined;
  });
}

privileged(
  'a command is recorded where the filter refuses the newer calls, and run names the one that it needs',
  (t) => {
    const error = constants.errno.EPERM;
    const recorded = underFilter(error, ['record', '--', 'sh', '-c', 'exit 7']);
    t.is(recorded.status, 7, recorded.stderr);
    t.regex(recorded.stderr, /the command ended/);
    const unprofiled = underFilter(error, ['run', '--', 'sh', '-c', 'exit 7']);
    t.is(unprofiled.status, 7);
    t.regex(
      unprofiled.stderr,
      /^perfbroker: sh runs unprofiled: a seccomp filter or an old kernel refuses pidfd_open: [^\n]+\n$/,
    );
  },
);
