/** The cpus of a recording are those of the machine, also where a container hides them from perfbroker. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync, chmodSync, chownSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { onlineCpus } from '#dist/common/cpus.js';
import { PerfDataReader } from '#dist/formats/perfdata_reader.js';
import { ALICE, readableTree } from './as_user.js';
import { noPrivilege, skip, startDaemon, type Daemon } from './daemon.js';

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test : test.skip;
const cpus = onlineCpus();

let daemon: Daemon;
const directory = mkdtempSync(join(tmpdir(), 'perfbroker-cpus-'));
test.before(async () => {
  chmodSync(directory, 0o755);
  chownSync(directory, ALICE, ALICE);
  writeFileSync(join(directory, 'online'), '0\n');
  if (reason === null) daemon = await startDaemon();
});
test.after.always(async () => {
  await daemon?.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** Views of a container, each as commands of a shell in a mount namespace of its own. */
const VIEWS = {
  'an empty /sys': 'mount -t tmpfs none /sys',
  'a list of cpus that names cpu 0 alone': `mount --bind ${directory}/online /sys/devices/system/cpu/online`,
  'an empty /sys and one allowed cpu': `mount -t tmpfs none /sys; taskset -pc ${cpus[0] ?? 0} $$ >/dev/null`,
} as const;

interface Ended {
  readonly status: number | null;
  readonly stderr: string;
}

function inView(view: string, socket: string, args: readonly string[]): Ended {
  const script = `set -e; mount --make-rprivate /; ${view}; exec "$@"`;
  return spawnSync('unshare', ['--mount', 'sh', '-c', script, 'sh', ...args], {
    cwd: directory,
    env: { PATH: process.env['PATH'], PERFBROKER_SOCKET: socket },
    encoding: 'utf8',
  });
}

const AS_ALICE = ['setpriv', `--reuid=${ALICE}`, `--regid=${ALICE}`, '--clear-groups'];
const BUSY = 'while :; do :; done';

/** @returns the process ids that samples of the file name */
function sampled(name: string): ReadonlySet<number | undefined> {
  using reader = new PerfDataReader(join(directory, name));
  const pids = new Set<number | undefined>();
  for (const { record } of reader.records()) if (record.kind === 'sample') pids.add(record.pid);
  return pids;
}

/** True where the machine lets root change mounts. */
function maySetUp(view: string): boolean {
  return inView(view, '', ['true']).status === 0;
}

/** Processes that compute, each on a cpu of its own. */
function busyProcesses(t: ExecutionContext): readonly number[] {
  return cpus.slice(0, 2).map((cpu) => {
    const child = spawn('taskset', ['-c', String(cpu), 'sh', '-c', BUSY], {
      uid: ALICE,
      gid: ALICE,
      stdio: 'ignore',
      cwd: '/',
    });
    t.teardown(() => child.kill('SIGKILL'));
    return child.pid ?? -1;
  });
}

for (const [name, view] of Object.entries(VIEWS)) {
  privileged(`record covers every cpu of the machine with ${name}`, (t) => {
    if (cpus.length < 2) return skip(t, 'one cpu is online');
    if (!maySetUp(view)) return skip(t, 'mount is not permitted');
    const pids = busyProcesses(t);
    const file = `${Object.keys(VIEWS).indexOf(name)}.data`;
    const command = [
      join(readableTree(), 'dist/bin/perfbroker'),
      'record',
      '-o',
      file,
      '-p',
      pids.join(','),
      '--duration',
      '1',
    ];
    const { status, stderr } = inView(view, daemon.socket, [...AS_ALICE, ...command]);
    t.is(status, 0, stderr);
    t.deepEqual([...sampled(file)].sort(), [...pids].sort(), stderr);
    return undefined;
  });

  privileged(`-C is compared with the cpus of the machine, with ${name}`, (t) => {
    if (!maySetUp(view)) return skip(t, 'mount is not permitted');
    const [pid = -1] = busyProcesses(t);
    const perfbroker = join(readableTree(), 'dist/bin/perfbroker');
    const stat = (cpu: number): Ended =>
      inView(view, daemon.socket, [
        ...AS_ALICE,
        perfbroker,
        'stat',
        '-C',
        String(cpu),
        '-p',
        String(pid),
        '--duration',
        '0.1',
      ]);
    const last = stat(cpus.at(-1) ?? 0);
    t.is(last.status, 0, last.stderr);
    const absent = stat(8000);
    t.is(absent.status, 2);
    t.regex(absent.stderr, /--cpu: not online: 8000/);
  });

  privileged(`run without a broker covers every cpu of the machine with ${name}`, (t) => {
    if (cpus.length < 2) return skip(t, 'one cpu is online');
    if (!maySetUp(view)) return skip(t, 'mount is not permitted');
    const file = `${Object.keys(VIEWS).indexOf(name)}.run.data`;
    const busy = cpus.slice(0, 2).map((cpu) => `timeout 3 taskset -c ${cpu} sh -c 'echo $$ >>pids-${file}; ${BUSY}' &`);
    const command = ['sh', '-c', `${busy.join(' ')} wait`];
    const { status, stderr } = inView(view, '/nonexistent', [
      join(readableTree(), 'dist/bin/perfbroker'),
      ...['run', '--require', '-o', file, '--', ...command],
    ]);
    t.is(status, 0, stderr);
    const written = readFileSync(join(directory, `pids-${file}`), 'utf8');
    const pids = written.trim().split('\n').map(Number);
    t.is(pids.length, 2);
    t.deepEqual(
      pids.filter((pid) => !sampled(file).has(pid)),
      [],
      stderr,
    );
    return undefined;
  });
}
