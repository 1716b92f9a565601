/** Targets that the tracer refuses: it gives the reason, and the target goes on unchanged. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { release, tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { ALICE, runAs } from '../e2e/as_user.js';
import { noPrivilege, skip } from '../e2e/daemon.js';
import { compileTools } from '../tools/compile.js';
import { ask, keepers, open, PERFMON, PROFILING, startTarget, startTracing, statusOf, type Target } from './support.js';

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test : test.skip;

const tools = compileTools('blocked_calls', 'odd_targets');
const daemon = reason === null ? await startTracing() : null;
test.after.always(async () => {
  await daemon?.stop();
  tools.remove();
});
const client = daemon === null ? null! : await open(daemon);
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const refused = (pid: number, deadlineMs = 100): ReturnType<typeof ask> =>
  ask(client, { target: { pid }, drop: ['CAP_PERFMON'], deadlineMs });

/** Null when the target kept its capabilities, no tracer holds it, and it ends as it would have; else the difference. */
async function isUntouched(target: Target, lines: readonly string[]): Promise<string | null> {
  // A thread that cannot be stopped is released when a process ends, right after the answer.
  for (let tries = 0; tries < 100 && statusOf(target.pid).get('TracerPid') !== '0'; tries++) await sleep(10);
  const status = statusOf(target.pid);
  if ((BigInt(`0x${status.get('CapPrm')}`) & PERFMON) === 0n) return 'it lost something';
  if (status.get('TracerPid') !== '0') return 'a tracer holds it';
  const end = await target.end();
  if (end.code !== 0) return `it ended with ${end.code ?? end.signal}`;
  return end.lines.join() === lines.join() ? null : `it printed ${end.lines.join()}`;
}

privileged('process 1, kernel threads, the processes of the daemon and their ancestors', async (t) => {
  t.is(await refused(1), 'DowngradeRefused init');
  const comm = statusOf(2).get('Name');
  if (comm === 'kthreadd') t.is(await refused(2), 'DowngradeRefused kernel-thread');
  const { monitor, opener, broker } = daemon!.parts;
  for (const pid of [monitor, opener, broker, process.pid])
    t.is(await refused(pid), 'DowngradeRefused ancestor', `${pid}`);
});

privileged('a process that gdb traces', async (t) => {
  const target = await startTarget(tools.path('odd_targets'), 'zombie-leader');
  const other = await startTarget(tools.path('blocked_calls'));
  t.teardown(() => (target.kill(), other.kill()));
  const gdb = spawn('gdb', ['-q', '-nx', '-p', String(other.pid)], { stdio: ['pipe', 'pipe', 'ignore'] });
  const spawned = await Promise.race([once(gdb, 'spawn').then(() => true), once(gdb, 'error').then(() => false)]);
  if (!spawned) return skip(t, 'no gdb');
  const closed = once(gdb, 'close');
  gdb.stdout.resume();
  for (let tries = 0; tries < 500 && statusOf(other.pid).get('TracerPid') === '0'; tries++) await sleep(20);
  t.is(statusOf(other.pid).get('TracerPid'), String(gdb.pid));
  t.is(await refused(other.pid), 'DowngradeRefused already-traced');
  t.is(statusOf(other.pid).get('TracerPid'), String(gdb.pid), 'gdb keeps it');
  gdb.stdin.end('detach\nquit\n');
  await closed;
  // Not all: gdb's own attach makes some of its calls return EINTR.
  t.true(keepers(other.pid, PERFMON).length > 0);
  const answer = await refused(other.pid, 2000);
  t.true(Array.isArray(answer), JSON.stringify(answer));
});

privileged('a process under a seccomp filter that would kill it', async (t) => {
  const target = await startTarget(tools.path('odd_targets'), 'seccomp-kill');
  t.is(await refused(target.pid), 'DowngradeRefused seccomp');
  t.is(await isUntouched(target, ['survived']), null);
});

privileged('a process that has its system calls dispatched to itself', async (t) => {
  const target = await startTarget(tools.path('odd_targets'), 'dispatch').catch(() => null);
  if (target === null) return skip(t, 'no PR_SET_SYSCALL_USER_DISPATCH here');
  t.teardown(() => target.kill());
  const [major, minor] = release().split('.').map(Number);
  if (major! < 6 || (major === 6 && minor! < 4)) return skip(t, 'the kernel does not report it before Linux 6.4');
  t.is(await refused(target.pid), 'DowngradeRefused seccomp');
  t.is(await isUntouched(target, ['survived']), null);
});

privileged('a process that waits for its vfork child: the deadline passes, and it continues', async (t) => {
  const target = await startTarget(tools.path('odd_targets'), 'vfork-parent');
  const begin = performance.now();
  t.is(await refused(target.pid, 150), 'DowngradeRefused deadline');
  const elapsed = performance.now() - begin;
  t.true(elapsed >= 149, `${elapsed}`);
  t.is(await isUntouched(target, ['survived']), null);
});

privileged('a target that does not stop holds up the tracer for its own user alone', async (t) => {
  const target = await startTarget(tools.path('odd_targets'), 'vfork-parent');
  // By root, whose deadline may be long.
  const waiting = { answered: false };
  const slow = refused(target.pid, 10_000).then((answer) => {
    waiting.answered = true;
    return answer;
  });
  const other = spawn('sleep', ['60'], { uid: ALICE, gid: ALICE });
  t.teardown(() => other.kill('SIGKILL'));
  await once(other, 'spawn');
  const answer = await runAs(
    { uid: ALICE, socket: daemon!.socket },
    async ({ client: library }, pid) => {
      const connection = await library.connect();
      for (;;) {
        const outcome = await connection.downgrade({ target: { pid }, drop: ['CAP_PERFMON'] }).then(
          ({ length }) => `${length}`,
          ({ code }: { code: string }) => code,
        );
        // A crowded machine does not always stop a process within the 100 ms that a user has.
        if (outcome !== 'deadline') return outcome;
      }
    },
    other.pid!,
  );
  t.is(answer, '1');
  t.false(waiting.answered, 'the other one still waits');
  target.kill();
  const end = await slow;
  t.regex(typeof end === 'string' ? end : 'downgraded', /^(TargetGone exited|DowngradeRefused deadline)$/);
});

privileged('only an administrator may let a target stand still for longer than 100 ms', async (t) => {
  const answer = await runAs({ uid: ALICE, socket: daemon!.socket }, async ({ client: library }) => {
    const connection = await library.connect();
    return connection.downgrade({ target: { pid: process.pid }, drop: ['CAP_PERFMON'], deadlineMs: 101 }).then(
      () => 'downgraded',
      ({ code, message }: { code: string; message: string }) => `${code}: ${message}`,
    );
  });
  t.is(answer, 'bad-value: deadlineMs is 101; 1 to 100 are possible for users other than an administrator');
});

/** The program that a process runs; null when the process has ended. */
function programOf(pid: number): string | null {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    return null;
  }
}

privileged('a process that runs 32-bit code', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-compat-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'pause32');
  writeFileSync(file, elf32());
  chmodSync(file, 0o755);
  const child = spawn(file, { stdio: 'ignore' });
  const started = await Promise.race([once(child, 'spawn').then(() => true), once(child, 'error').then(() => false)]);
  t.teardown(() => child.kill('SIGKILL'));
  // Where the kernel knows no such program, spawn gives the file to a shell, which ends at once.
  if (!started || programOf(child.pid!) !== file) return skip(t, 'this kernel runs no 32-bit programs');
  await sleep(20);
  t.is(await refused(child.pid!), 'DowngradeRefused compat');
  t.not(keepers(child.pid!, PERFMON).length, 0);
  for (let tries = 0; tries < 100 && !statusOf(child.pid!).get('State')!.startsWith('S'); tries++) await sleep(10);
  t.regex(statusOf(child.pid!).get('State')!, /^S/, 'it goes on to wait');
});

privileged('a process that has ended, and one whose number is a thread', async (t) => {
  const target = await startTarget(tools.path('odd_targets'), 'signals');
  const tid = Number(readFileSync(`/proc/${target.pid}/task/${target.pid}/children`, 'latin1') || 0);
  t.is(tid, 0);
  const pidfd = client.downgrade({ target: { pid: target.pid }, drop: PROFILING, dryRun: true });
  await pidfd;
  target.kill();
  await once(target.child, 'close');
  t.is(await refused(target.pid), 'TargetGone no-such-process');
});

privileged('an unknown capability, an empty list, and a deadline out of range', async (t) => {
  const child = spawn('sleep', ['100'], { stdio: 'ignore' });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child, 'spawn');
  const target = { pid: child.pid! };
  t.is(await ask(client, { target, drop: ['CAP_PERFMO'] }), 'DowngradeRefused unknown-capability');
  t.is(await ask(client, { target, drop: [] }), 'DowngradeRefused nothing-asked');
  for (const deadlineMs of [0, -1, 10_001]) {
    t.is(await ask(client, { target, drop: ['all'], deadlineMs }), 'InvalidTarget bad-value');
  }
  t.deepEqual(keepers(target.pid, PERFMON), [target.pid]);
});

/** The smallest ELF32 program: pause(2) for ever. */
function elf32(): Buffer {
  const code = [0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xf7]; // mov eax, 29; int 0x80; jmp to the begin
  const base = 0x0804_8000;
  const header = Buffer.alloc(84);
  header.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  header.writeUInt16LE(2, 16); // ET_EXEC
  header.writeUInt16LE(3, 18); // EM_386
  header.writeUInt32LE(1, 20);
  header.writeUInt32LE(base + 84, 24); // entry
  header.writeUInt32LE(52, 28); // program headers
  header.writeUInt16LE(52, 40);
  header.writeUInt16LE(32, 42);
  header.writeUInt16LE(1, 44);
  header.writeUInt32LE(1, 52); // PT_LOAD
  header.writeUInt32LE(0, 56);
  header.writeUInt32LE(base, 60);
  header.writeUInt32LE(base, 64);
  header.writeUInt32LE(84 + code.length, 68);
  header.writeUInt32LE(84 + code.length, 72);
  header.writeUInt32LE(5, 76); // readable, executable
  header.writeUInt32LE(4096, 80);
  return Buffer.concat([header, Buffer.from(code)]);
}
