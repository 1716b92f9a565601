/**
 * Changes between the decision and the hand-over. The opener is stopped (SIGSTOP) while a request is under way, the
 * target is changed, and the opener goes on: each time it has to notice the change.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { ALICE, BOB, runAs, startAs } from './as_user.js';
import { continueHelper, type Daemon, noPrivilege, requestDecided, skip, startDaemon, stopHelper } from './daemon.js';
import { start, startBusy, type Victim } from './target.js';
import { settledFds } from '../tools/fds_of.js';

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test.serial : test.serial.skip;

let daemon: Daemon;
test.serial.before(async () => {
  if (reason === null) daemon = await startDaemon();
});
test.after.always(async () => {
  await daemon?.stop();
});

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Has ALICE ask for `victim`, with `change` between the broker's decision and the opener's work. */
async function openWhile(
  victim: Victim,
  change: () => Promise<void>,
): Promise<{ opened: boolean; error: string; code: string }> {
  const { opener, broker } = daemon.parts;
  const before = await settledFds(broker);
  stopHelper(opener);
  try {
    const request = startAs(
      { uid: ALICE, socket: daemon.socket },
      async ({ client, syntax }, pid) => {
        const connection = await client.connect();
        try {
          await connection.open({ targets: [{ pid, threads: 'leader' }], events: syntax.parseEvents('task-clock:u') });
          return { opened: true, error: '', code: '' };
        } catch (error) {
          const { error: name, code } = error as { error: string; code: string };
          return { opened: false, error: name, code };
        }
      },
      victim.pid,
    );
    await requestDecided(broker, before);
    await change();
    continueHelper(opener);
    return await request.result;
  } finally {
    continueHelper(opener);
  }
}

privileged('without a change the stopped opener opens when it continues (the control case)', async (t) => {
  const victim = await startBusy(ALICE);
  t.teardown(() => victim.end());
  t.true((await openWhile(victim, async () => {})).opened);
});

privileged('a target that executes a setuid program between decision and hand-over is not handed over', async (t) => {
  const program = join(daemon.directory, 'setuid-sleep');
  copyFileSync('/bin/sleep', program);
  chmodSync(program, 0o4755);
  const signal = join(daemon.directory, 'go-setuid');
  const victim = await start(ALICE, ALICE, `while [ ! -e ${signal} ]; do :; done; exec ${program} 60`);
  t.teardown(() => victim.end());
  const outcome = await openWhile(victim, async () => {
    writeFileSync(signal, '');
    for (let tries = 0; uidsOf(victim.pid)[1] !== 0 && tries < 1000; tries++) await sleep(20);
  });
  t.is(uidsOf(victim.pid)[1], 0, 'the target runs as root now');
  t.like(outcome, { opened: false, error: 'TargetChanged' });
});

privileged(
  'a target that changes its uid with setresuid between decision and hand-over is not handed over',
  async (t) => {
    const signal = join(daemon.directory, 'go-setresuid');
    const program = `import os,time,ctypes
libc=ctypes.CDLL(None)
libc.prctl(8,1,0,0,0)
os.setgroups([]); os.setresgid(${ALICE},${ALICE},${ALICE}); os.setresuid(${ALICE},${ALICE},${ALICE})
libc.prctl(4,1,0,0,0)
while not os.path.exists(${JSON.stringify(signal)}): time.sleep(0.01)
class H(ctypes.Structure): _fields_=[('v',ctypes.c_uint32),('p',ctypes.c_int)]
class D(ctypes.Structure): _fields_=[('e',ctypes.c_uint32),('p',ctypes.c_uint32),('i',ctypes.c_uint32)]
h=H(0x20080522,0); d=(D*2)(); libc.capget(ctypes.byref(h),d)
d[0].e=d[0].p; d[1].e=d[1].p; libc.capset(ctypes.byref(h),d)
os.setresuid(${BOB},${BOB},${BOB})
time.sleep(60)
`;
    const victim = await start(0, 0, program, 'python3');
    t.teardown(() => victim.end());
    for (let tries = 0; uidsOf(victim.pid)[0] !== ALICE && tries < 1000; tries++) await sleep(20);
    await sleep(100);
    const outcome = await openAsAdministrator(t, victim, async () => {
      writeFileSync(signal, '');
      for (let tries = 0; uidsOf(victim.pid)[0] !== BOB && tries < 1000; tries++) await sleep(20);
    });
    t.is(uidsOf(victim.pid)[0], BOB);
    t.like(outcome, { opened: false, error: 'TargetChanged' });
  },
);

/** Opens as root, under a ceiling that allows it: a target that still holds capabilities counts as no user's own. */
async function openAsAdministrator(
  t: ExecutionContext,
  victim: Victim,
  change: () => Promise<void>,
): Promise<{ opened: boolean; error: string }> {
  const open = await startDaemon({ args: ['--ceiling', 'all'] });
  t.teardown(() => open.stop());
  const before = await settledFds(open.parts.broker);
  stopHelper(open.parts.opener);
  const request = runAs(
    { uid: 0, socket: open.socket },
    async ({ client, syntax }, pid) => {
      const connection = await client.connect();
      try {
        await connection.open({ targets: [{ pid, threads: 'leader' }], events: syntax.parseEvents('task-clock:u') });
        return { opened: true, error: '' };
      } catch (error) {
        return { opened: false, error: (error as { error: string }).error };
      }
    },
    victim.pid,
  );
  await requestDecided(open.parts.broker, before);
  await change();
  continueHelper(open.parts.opener);
  return request;
}

privileged('a pid that is recycled between decision and hand-over never gives access to the new process', async (t) => {
  const victim = await startBusy(ALICE);
  let heir = null as number | null;
  const outcome = await openWhile(victim, async () => {
    await victim.end();
    heir = await recycle(victim.pid);
  });
  if (heir === null) return skip(t, 'the pid could not be recycled here: ns_last_pid is closed');
  t.teardown(() => process.kill(heir!, 'SIGKILL'));
  t.is(uidsOf(heir)[0], BOB);
  t.like(outcome, { opened: false, error: 'TargetGone' });
});

privileged('a pidfd of a process whose pid was recycled means the old process, which is gone', async (t) => {
  const victim = await startBusy(ALICE);
  const signal = join(daemon.directory, 'go-recycled');
  const request = startAs(
    { uid: ALICE, socket: daemon.socket },
    async ({ client, native, syntax }, pid, go) => {
      const { existsSync } = await import('node:fs');
      const pidfd = native.pidfdOpen(pid);
      const connection = await client.connect();
      while (!existsSync(go)) await new Promise((resolve) => setTimeout(resolve, 20));
      try {
        await connection.open({ targets: [{ pidfd }], events: syntax.parseEvents('task-clock:u') });
        return 'opened';
      } catch (error) {
        return (error as { error: string }).error;
      }
    },
    victim.pid,
    signal,
  );
  for (let tries = 0; tries < 1000 && !hasPidfd(request.child.pid!, victim.pid); tries++) await sleep(20);
  await victim.end();
  const heir = await recycle(victim.pid, ALICE);
  writeFileSync(signal, '');
  if (heir !== null) t.teardown(() => process.kill(heir, 'SIGKILL'));
  else t.log('the pid could not be recycled here; the old process is gone all the same');
  t.is(await request.result, 'TargetGone');
});

/** True when process `pid` holds a pidfd of `of`. */
function hasPidfd(pid: number, of: number): boolean {
  return readdirSync(`/proc/${pid}/fdinfo`).some((fd) => {
    try {
      return new RegExp(`^Pid:\\s+${of}$`, 'm').test(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1'));
    } catch {
      return false; // closed meanwhile
    }
  });
}

/** Starts a process with exactly this pid, as `uid`. Null when the machine does not let us choose. */
async function recycle(pid: number, uid = BOB): Promise<number | null> {
  const script = `import os
for attempt in range(200):
  fd=os.open('/proc/sys/kernel/ns_last_pid',os.O_WRONLY); os.write(fd,b'${pid - 1}'); os.close(fd)
  child=os.fork()
  if child==0:
    if os.getpid()!=${pid}: os._exit(0)
    os.setsid(); os.setgroups([]); os.setresgid(${uid},${uid},${uid}); os.setresuid(${uid},${uid},${uid})
    os.close(1)
    os.execvp('sleep',['sleep','30'])
  if child==${pid}:
    print(child,flush=True)
    os._exit(0)
  os.waitpid(child,0)`;
  const born = spawnSync('python3', ['-c', script], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  await sleep(100);
  return Number(born.stdout) === pid ? pid : null;
}

function uidsOf(pid: number): number[] {
  const line = /^Uid:\s+(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? '';
  return line.split(/\s+/).map(Number);
}
