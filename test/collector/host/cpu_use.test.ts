import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { measureCpuUse } from '#dist/collector/host/cpu_use.js';

/** A /proc whose threads the test writes. */
class FakeProc implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), 'perfbroker-proc-'));

  thread(pid: number, tid: number, { state = 'S', cpu = 0, ran = '1000000' } = {}): void {
    const directory = join(this.path, `${pid}/task/${tid}`);
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'stat'), `${tid} (a) b) ${state}${' 0'.repeat(35)} ${cpu} 0 0\n`);
    writeFileSync(join(directory, 'schedstat'), `${ran} 5 6\n`);
  }

  end(pid: number, tid: number): void {
    rmSync(join(this.path, `${pid}/task/${tid}`), { recursive: true });
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true });
  }
}

test('the use of a process is that of its threads, with those that are new', (t) => {
  using proc = new FakeProc();
  proc.thread(7, 7);
  const use = measureCpuUse([{ pid: 7 }, { pid: 7, tid: 7 }], proc.path);
  proc.thread(7, 7, { ran: '3000000', cpu: 2 });
  proc.thread(7, 9, { ran: '4000000', cpu: 1, state: 'T' });
  t.deepEqual(use(), [
    { pid: 7, ms: 6, stopped: false, cpus: [1, 2] },
    { pid: 7, tid: 7, ms: 2, stopped: false, cpus: [2] },
  ]);
});

test('the use is not known where a thread has ended, or the kernel does not count it', (t) => {
  using proc = new FakeProc();
  proc.thread(7, 7);
  proc.thread(7, 8);
  proc.thread(9, 9, { ran: '0' });
  const use = measureCpuUse([{ pid: 7 }, { pid: 9 }], proc.path);
  proc.end(7, 8);
  t.deepEqual(
    use().map(({ ms }) => ms),
    [undefined, undefined],
  );
});

test('a process that has ended, or is a zombie, is left out', (t) => {
  using proc = new FakeProc();
  for (const pid of [7, 8]) proc.thread(pid, pid);
  const use = measureCpuUse([{ pid: 7 }, { pid: 8 }, { pid: 9 }], proc.path);
  proc.end(7, 7);
  proc.thread(8, 8, { state: 'Z' });
  t.deepEqual(use(), []);
});

test('a stopped process of this machine is seen as stopped, and runs on a cpu', async (t) => {
  const child = spawn('sleep', ['300'], { stdio: 'ignore' });
  t.teardown(() => child.kill('SIGKILL'));
  await new Promise((resolve) => child.once('spawn', resolve));
  const use = measureCpuUse([{ pid: child.pid! }]);
  child.kill('SIGSTOP');
  while (use()[0]?.stopped !== true) await new Promise((resolve) => setTimeout(resolve, 10));
  t.true(Number.isInteger(use()[0]?.cpus[0]));
});
