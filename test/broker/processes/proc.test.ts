import { spawn } from 'node:child_process';
import { openSync, closeSync } from 'node:fs';
import { once } from 'node:events';
import test from 'ava';
import { hasThread, pidOfPidfd, readCaller, readProcess, readThreads, startTime } from '#dist/broker/processes/proc.js';
import { native } from '#dist/native.js';

test('this process is read with its true facts', (t) => {
  const facts = readProcess(process.pid)!;
  t.is(facts.pid, process.pid);
  t.is(facts.threadGroup, process.pid);
  t.deepEqual([...facts.uids], [process.getuid!(), process.geteuid!(), process.geteuid!()]);
  t.true(facts.startTime > 0n);
  t.true(facts.sameUserNamespace);
  t.is(facts.namespacePids.at(-1), process.pid);
  // getgroups(3) of node adds the effective gid.
  const groups = new Set([...readCaller(process.pid)!.groups, process.getegid!()]);
  t.deepEqual(groups, new Set(process.getgroups!()));
});

test('the start time is found behind a command that imitates fields', (t) => {
  const fields = Array.from({ length: 30 }, (_, index) => String(index + 3));
  t.is(startTime(`7 (a) R 1 (b) S 2) ${fields.join(' ')}`), 22n);
});

test('a thread belongs to its own process and to no other', (t) => {
  const other = readThreads(process.pid)!.find((tid) => tid !== process.pid)!;
  t.true(hasThread(process.pid, process.pid));
  t.true(hasThread(process.pid, other));
  t.false(hasThread(process.pid, 1));
  t.false(hasThread(process.pid, -1));
  t.false(hasThread(4_194_303, 4_194_303));
});

test('a process that does not exist is null', (t) => {
  t.is(readProcess(4_194_303), null);
  t.is(readCaller(4_194_303), null);
  t.is(readThreads(4_194_303), null);
});

test('threads are listed in order', (t) => {
  const threads = readThreads(process.pid)!;
  t.true(threads.length > 1);
  t.is(threads[0], process.pid);
});

test('a pidfd names its process, and shows when that has ended', async (t) => {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  await once(child, 'spawn');
  const pidfd = native.pidfdOpen(child.pid!);
  t.teardown(() => native.close(pidfd));
  t.is(pidOfPidfd(pidfd), child.pid!);
  child.kill('SIGKILL');
  await once(child, 'close');
  t.is(pidOfPidfd(pidfd), 'gone');
});

test('other kinds of fd are not pidfds', (t) => {
  for (const path of ['/dev/null', '/proc/self/status', '/']) {
    const fd = openSync(path, 'r');
    t.is(pidOfPidfd(fd), 'not-a-pidfd', path);
    closeSync(fd);
  }
  const [left, right] = native.socketPair('stream');
  t.is(pidOfPidfd(left), 'not-a-pidfd');
  native.close(left);
  native.close(right);
});

(process.getuid?.() === 0 ? test : test.skip)(
  'a status file that is longer than the opener takes is refused, and one that just fits is read',
  async (t) => {
    // Each group takes two bytes of the line, and the rest of the file less than 2 KiB.
    const script = "import os,sys,time; os.setgroups([7]*int(sys.argv[1])); print('ready',flush=True); time.sleep(60)";
    for (const groups of [31_000, 33_000]) {
      const child = spawn('python3', ['-c', script, String(groups)], { cwd: '/', stdio: ['ignore', 'pipe', 'ignore'] });
      t.teardown(() => child.kill('SIGKILL'));
      await once(child.stdout, 'data');
      const pid = child.pid!;
      if (groups < 32_768) {
        t.is(readProcess(pid)!.pid, pid);
        t.is(readCaller(pid)!.groups.length, groups);
      } else {
        const error = t.throws(() => readProcess(pid));
        t.like(error, { error: 'InvalidTarget', code: 'too-many-groups' });
        t.throws(() => readCaller(pid), { message: error.message });
      }
    }
  },
);

(process.getuid?.() === 0 ? test : test.skip)(
  'a process that has made itself undumpable is seen as that',
  async (t) => {
    const script = "import ctypes,time; ctypes.CDLL(None).prctl(4,0,0,0,0); print('ready',flush=True); time.sleep(60)";
    const child = spawn('python3', ['-c', script], {
      uid: 60123,
      gid: 60123,
      cwd: '/',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    t.teardown(() => child.kill('SIGKILL'));
    await once(child.stdout, 'data');
    t.false(readProcess(child.pid!)!.dumpable);
    const plain = spawn('sleep', ['60'], { uid: 60123, gid: 60123, cwd: '/', stdio: 'ignore' });
    t.teardown(() => plain.kill('SIGKILL'));
    await once(plain, 'spawn');
    await new Promise((resolve) => setTimeout(resolve, 100));
    t.true(readProcess(plain.pid!)!.dumpable);
  },
);
