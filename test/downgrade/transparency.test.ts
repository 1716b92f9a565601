/** A downgrade takes what it is to take from every thread, and the target does not notice. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { get, Agent } from 'node:http';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import test from 'ava';
import { noPrivilege, skip } from '../e2e/daemon.js';
import { compileTools } from '../tools/compile.js';
import { ADMIN, ALL, keepers, open, PERFMON, PROFILING, startTarget, startTracing, statusOf } from './support.js';

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test.serial : test.serial.skip;

const tools = compileTools('blocked_calls', 'churn', 'odd_targets');
const daemon = reason === null ? await startTracing() : null;
test.after.always(async () => {
  await daemon?.stop();
  tools.remove();
});
const client = daemon === null ? null! : await open(daemon);
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

privileged('sleep loses exactly the named capabilities, and the reply lists them before and after', async (t) => {
  const child = spawn('sleep', ['100'], { stdio: 'ignore' });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child, 'spawn');
  const pid = child.pid!;
  const before = BigInt(`0x${statusOf(pid).get('CapPrm')}`);
  const [process, ...others] = await client.downgrade({ target: { pid }, drop: PROFILING, deadlineMs: 5000 });
  t.deepEqual(others, []);
  t.is(process!.pid, pid);
  const [thread, ...more] = process!.threads;
  t.deepEqual(more, []);
  t.like(thread, { tid: pid, name: 'sleep', errno: 0, noNewPrivs: false });
  t.is(BigInt(`0x${thread!.had.permitted}`), before);
  const after = before & ~(PERFMON | ADMIN);
  t.is(BigInt(`0x${thread!.has.permitted}`), after);
  t.is(thread!.has.bounding, thread!.had.bounding);
  for (const set of ['CapPrm', 'CapEff']) t.is(BigInt(`0x${statusOf(pid).get(set)}`), after);
  t.true(process!.stoppedMicroseconds > 0);
});

privileged('ambient and inheritable capabilities go with the permitted ones, and the others stay', async (t) => {
  const caps = '+perfmon,+sys_nice';
  const child = spawn('setpriv', [
    `--inh-caps=${caps}`,
    `--ambient-caps=${caps}`,
    '--reuid=60123',
    '--regid=60123',
    '--clear-groups',
    'sleep',
    '100',
  ]);
  t.teardown(() => child.kill('SIGKILL'));
  while (!(statusOf(child.pid!).get('Name') === 'sleep')) await sleep(10);
  t.is(statusOf(child.pid!).get('CapAmb'), '0000004000800000');
  await client.downgrade({ target: { pid: child.pid! }, drop: PROFILING, noNewPrivs: true, deadlineMs: 5000 });
  for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb'])
    t.is(statusOf(child.pid!).get(set), '0000000000800000', set);
  t.is(statusOf(child.pid!).get('NoNewPrivs'), '1');
});

privileged('every waiting system call continues: none returns EINTR, and none returns early or late', async (t) => {
  const lag = monitorEventLoopDelay({ resolution: 20 });
  lag.enable();
  const target = await startTarget(tools.path('blocked_calls'));
  t.teardown(() => target.kill());
  for (let round = 0; round < 5; round++) {
    const [process] = await client.downgrade({
      target: { pid: target.pid },
      drop: ['all'],
      noNewPrivs: round > 2,
      deadlineMs: 5000,
    });
    t.deepEqual(keepers(target.pid, ALL, round > 2), []);
    t.true(process!.threads.length > 30);
  }
  const { lines, code } = await target.end();
  t.is(code, 0);
  t.true(lines.length > 30);
  // A busy machine is late with every timer, also with one of this process.
  const latest = 2300 + (2 * lag.max) / 1e6;
  lag.disable();
  for (const line of lines) {
    const [name, result, error, elapsed] = line.split(' ');
    t.is(error, '0', line);
    t.true(Number(result) >= 0, line);
    // Sleeps and timeouts that end by themselves last 1.5 s. io_getevents begins its own again (docs/downgrade.md).
    if (/nanosleep|^poll$|ppoll|^select|timed$|timerfd/.test(name!) && !/recv|send|accept|read/.test(name!)) {
      t.true(Number(elapsed) >= 1499 && Number(elapsed) < latest, `${line}; at most ${latest} ms on this machine now`);
    }
  }
});

privileged('forty downgrades of a process that starts and ends threads without a pause leave none out', async (t) => {
  const target = await startTarget(tools.path('churn'));
  t.teardown(() => target.kill());
  let threads = 0;
  for (let round = 0; round < 40; round++) {
    // One capability more each time, so that there always is something to do.
    const drop = [
      `CAP_${['CHOWN', 'KILL', 'SETPCAP', 'NET_RAW', 'SYS_CHROOT', 'SYS_TIME', 'MKNOD', 'LEASE'][round % 8]}`,
    ];
    const fresh = round % 8 === 0 ? await startTarget(tools.path('churn')) : null;
    const pid = fresh?.pid ?? target.pid;
    const [process] = await client.downgrade({ target: { pid }, drop, noNewPrivs: round % 2 === 0, deadlineMs: 5000 });
    threads += process!.threads.length;
    const bits = {
      CHOWN: 0n,
      KILL: 5n,
      SETPCAP: 8n,
      NET_RAW: 13n,
      SYS_CHROOT: 18n,
      SYS_TIME: 25n,
      MKNOD: 27n,
      LEASE: 28n,
    };
    const bit = 1n << bits[drop[0]!.slice(4) as keyof typeof bits];
    t.deepEqual(keepers(pid, bit, round % 2 === 0), []);
    if (fresh !== null) t.is((await fresh.end()).code, 0);
  }
  const { lines, code } = await target.end();
  t.is(code, 0, lines.join());
  t.regex(lines.join(), /^\d{2,} threads, 0 broken$/);
  t.true(threads > 200);
});

privileged('python3 and its threads continue to compute', async (t) => {
  const program = `
import sys, threading, time
done = threading.Event()
results = []
def work(n):
    total = 0
    while not done.is_set():
        total += sum(i * i for i in range(1000)) - 332833500
        time.sleep(0.0005)
    results.append(total)
threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
for thread in threads: thread.start()
print('ready', flush=True)
sys.stdin.readline()
done.set()
for thread in threads: thread.join()
print(results)
`;
  const target = await startTarget('python3', '-c', program);
  t.teardown(() => target.kill());
  for (let round = 0; round < 5; round++)
    await client.downgrade({ target: { pid: target.pid }, drop: ['all'], noNewPrivs: true, deadlineMs: 5000 });
  t.deepEqual(keepers(target.pid, ALL, true), []);
  t.deepEqual(await target.end(), { lines: ['[0, 0, 0, 0, 0, 0]'], code: 0, signal: null });
});

privileged('a node server under load answers every request', async (t) => {
  const program = `
const server = require('node:http').createServer((request, response) => {
  require('node:fs').readFile('/proc/self/stat', (error) => response.end(error ? 'bad' : 'good'));
});
server.listen(0, '127.0.0.1', () => console.log('ready\\n' + server.address().port));
process.stdin.on('data', () => process.exit(0));
`;
  const target = await startTarget(process.execPath, '-e', program);
  t.teardown(() => target.kill());
  const port = Number(await target.line());
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  t.teardown(() => agent.destroy());
  let stop = false;
  let good = 0;
  const load = Array.from({ length: 8 }, async () => {
    while (!stop) {
      const body = await new Promise<string>((resolve, reject) => {
        get({ port, host: '127.0.0.1', agent }, (response) => {
          let text = '';
          response.on('data', (chunk: Buffer) => (text += chunk.toString()));
          response.on('end', () => resolve(text));
        }).on('error', reject);
      });
      t.is(body, 'good');
      good++;
    }
  });
  const answers = async (count: number): Promise<void> => {
    for (const begin = good; good < begin + count;) await sleep(5);
  };
  await answers(10);
  const drops = [['CAP_PERFMON'], ['CAP_SYS_ADMIN'], ['CAP_SYS_PTRACE', 'CAP_NET_ADMIN'], ['all'], ['all']];
  for (const drop of drops) {
    await client.downgrade({ target: { pid: target.pid }, drop, deadlineMs: 5000 });
    await answers(10);
  }
  stop = true;
  await Promise.all(load);
  t.deepEqual(keepers(target.pid, ALL), []);
});

privileged('no signal is lost, queued or not, and timers continue', async (t) => {
  const target = await startTarget(tools.path('odd_targets'), 'signals');
  t.teardown(() => target.kill());
  const sender = spawn('python3', [
    '-c',
    `
import os, signal, sys
for i in range(3000):
    os.kill(${target.pid}, signal.SIGRTMIN)
`,
  ]);
  const sent = once(sender, 'close');
  const drops = [
    'CAP_PERFMON',
    'CAP_SYS_ADMIN',
    'CAP_BPF',
    'CAP_SYS_NICE',
    'CAP_SYS_TIME',
    'CAP_KILL',
    'CAP_CHOWN',
    'all',
  ];
  for (const drop of drops) {
    await client.downgrade({ target: { pid: target.pid }, drop: [drop], deadlineMs: 5000 });
    await sleep(10);
  }
  t.is((await sent)[0], 0);
  await sleep(50);
  const { lines, code } = await target.end();
  t.is(code, 0);
  const [counted, ticks] = lines[0]!.split(' ').map(Number);
  t.is(counted, 3000);
  t.true(ticks! > 50);
});

privileged('a stopped process stays stopped until SIGCONT', async (t) => {
  const target = await startTarget(tools.path('blocked_calls'));
  t.teardown(() => target.kill());
  target.child.kill('SIGSTOP');
  while (!(statusOf(target.pid).get('State') ?? '').startsWith('T')) await sleep(10);
  await client.downgrade({ target: { pid: target.pid }, drop: ['all'], deadlineMs: 5000 });
  t.deepEqual(keepers(target.pid, ALL), []);
  await sleep(50);
  t.regex(statusOf(target.pid).get('State')!, /^T \(stopped\)/);
  t.is(statusOf(target.pid).get('TracerPid'), '0');
  target.child.kill('SIGCONT');
  const { lines, code } = await target.end();
  t.is(code, 0);
  // These return EINTR when a process is continued, with or without us (signal(7)), where it was stopped in them.
  t.true(lines.length > 30);
});

privileged('a SIGSTOP during a downgrade stops the process as usual', async (t) => {
  const target = await startTarget(tools.path('churn'));
  t.teardown(() => target.kill());
  for (let round = 0; round < 5; round++) {
    const downgrade = client.downgrade({
      target: { pid: target.pid },
      drop: [['CAP_CHOWN', 'CAP_KILL', 'CAP_BPF', 'CAP_MKNOD', 'CAP_LEASE'][round]!],
      deadlineMs: 5000,
    });
    await sleep(round);
    target.child.kill('SIGSTOP');
    await downgrade;
    await sleep(20);
    t.regex(statusOf(target.pid).get('State')!, /^T \(stopped\)/);
    target.child.kill('SIGCONT');
  }
  t.is((await target.end()).code, 0);
});

privileged('a zombie leader does not hide the threads that continue without it', async (t) => {
  const target = await startTarget(tools.path('odd_targets'), 'zombie-leader');
  t.teardown(() => target.kill());
  t.regex(statusOf(target.pid).get('State')!, /^Z/);
  const [process] = await client.downgrade({ target: { pid: target.pid }, drop: ['all'], deadlineMs: 5000 });
  t.is(process!.threads.length, 1);
  t.not(process!.threads[0]!.tid, target.pid);
  t.deepEqual(keepers(target.pid, ALL), []);
  t.deepEqual((await target.end()).lines, ['survived']);
});

privileged('a process in a user namespace of its own loses its capabilities there', async (t) => {
  const child = spawn('unshare', ['--user', '--map-root-user', 'sleep', '100'], { stdio: 'ignore' });
  t.teardown(() => child.kill('SIGKILL'));
  for (let tries = 0; tries < 100 && statusOf(child.pid!).get('Name') !== 'sleep'; tries++) await sleep(10);
  if (statusOf(child.pid!).get('Name') !== 'sleep') return skip(t, 'no user namespaces here');
  await client.downgrade({ target: { pid: child.pid! }, drop: ['all'], noNewPrivs: true, deadlineMs: 5000 });
  t.deepEqual(keepers(child.pid!, ALL, true), []);
});

privileged('a restartable sequence that is interrupted is started again, not finished', async (t) => {
  const target = await startTarget(tools.path('odd_targets'), 'sequence').catch(() => null);
  if (target === null) return skip(t, 'no rseq here');
  t.teardown(() => target.kill());
  const aborts = async (): Promise<number> => {
    target.child.stdin!.write('\n');
    return Number(await target.line());
  };
  for (const drop of ['CAP_PERFMON', 'CAP_SYS_ADMIN', 'CAP_BPF']) {
    const before = await aborts();
    await client.downgrade({ target: { pid: target.pid }, drop: [drop], deadlineMs: 5000 });
    // Were it forgotten, nothing would ever lead out of it again.
    target.child.kill('SIGSTOP');
    await sleep(10);
    target.child.kill('SIGCONT');
    await sleep(30);
    t.true((await aborts()) > before);
  }
});

privileged('memory below a stack pointer is as it was, in use or not', async (t) => {
  const target = await startTarget(tools.path('odd_targets'), 'stack').catch(() => null);
  if (target === null) return skip(t, 'only for x86-64');
  t.teardown(() => target.kill());
  for (const drop of ['CAP_PERFMON', 'CAP_SYS_ADMIN', 'all'])
    await client.downgrade({ target: { pid: target.pid }, drop: [drop], deadlineMs: 5000 });
  t.deepEqual(keepers(target.pid, ALL), []);
  t.deepEqual(await target.end(), { lines: [], code: 0, signal: null });
});

privileged('a process without capabilities to lose is only checked, and a dry run does not even stop it', async (t) => {
  const target = await startTarget(tools.path('blocked_calls'));
  t.teardown(() => target.kill());
  const [dry] = await client.downgrade({ target: { pid: target.pid }, drop: PROFILING, dryRun: true });
  t.is(dry!.stoppedMicroseconds, 0);
  t.true(dry!.threads.length > 30);
  for (const { had, has } of dry!.threads) {
    t.is(BigInt(`0x${had.effective}`) & PERFMON, PERFMON);
    t.is(BigInt(`0x${has.effective}`) & PERFMON, 0n);
  }
  t.is(keepers(target.pid, PERFMON).length, dry!.threads.length);
  await client.downgrade({ target: { pid: target.pid }, drop: PROFILING, deadlineMs: 5000 });
  const [again] = await client.downgrade({ target: { pid: target.pid }, drop: PROFILING, deadlineMs: 5000 });
  for (const { had, has } of again!.threads) t.deepEqual(has, had);
  t.is((await target.end()).code, 0);
});
