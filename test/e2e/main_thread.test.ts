/** Work that clients cause in the broker's main thread: bounded, paid for, and done in turns with other clients. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { ALICE, BOB, runAs } from './as_user.js';
import { childrenOf, noPrivilege, OPEN_POLICY, skip, startDaemon, type Daemon } from './daemon.js';
import { PYTHON } from './lingering.js';
import { listenTo } from '../tools/said.js';

const reason = noPrivilege() ?? (existsSync(PYTHON) ? null : `${PYTHON} is missing`);
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test.serial : test.serial.skip;

/** Client calls as text, for attackers in Python. */
const PRELUDE = `
import ctypes, json, os, select, signal, socket, subprocess, sys, time
path, user = sys.argv[1], ${ALICE}
# After become_user: a change of ids clears it.
def end_with_parent(): ctypes.CDLL(None).prctl(1, signal.SIGKILL)
def become_user(groups=()):
    os.setgroups(list(groups)); os.setresgid(user, user, user); os.setresuid(user, user, user)
def connect():
    s = socket.socket(socket.AF_UNIX); s.settimeout(30); s.connect(path); return s
def message(method, **parameters):
    return json.dumps({'method': 'org.perfbroker.Broker.' + method, 'parameters': parameters}).encode() + bytes(1)
def answer(s):
    data = b''
    while not data.endswith(bytes(1)):
        more = s.recv(65536)
        if not more: return {'error': 'closed'}
        data += more
    return json.loads(data[:-1])
event = {'source': {'kind': 'software', 'name': 'task-clock'}, 'exclude': ['kernel']}
def children(count, groups=()):
    pids = []
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            become_user(groups); end_with_parent(); os.write(ready, b'.'); signal.pause(); os._exit(0)
        pids.append(pid)
    left = count
    while left > 0: left -= len(os.read(settled, left))
    return pids
settled, ready = os.pipe()
`;

interface Attacker {
  readonly child: ChildProcess;
  /** Output of the program, a line of JSON. */
  readonly result: Promise<unknown>;
  /** Resolves when it has written this to its standard error. */
  readonly saidReady: () => Promise<void>;
}

/**
 * Runs a program as root, which becomes ALICE when it has done what only root can do, or as ALICE from the beginning. It ends
 * with its test at the latest.
 */
function attack(t: ExecutionContext, daemon: Daemon, script: string, uid = 0): Attacker {
  const child = spawn(PYTHON, ['-c', PRELUDE + script, daemon.socket], { cwd: '/', stdio: 'pipe', uid, gid: uid });
  t.teardown(() => child.kill('SIGKILL'));
  const [output, errors] = [listenTo(child, 'stdout'), listenTo(child, 'stderr')];
  const result = output.match(/\n/).then(
    () => JSON.parse(output.text()) as unknown,
    () => Promise.reject(new Error(errors.text())),
  );
  return { child, result, saidReady: () => errors.match(/ready/) };
}

async function served(t: ExecutionContext, daemon: Daemon): Promise<void> {
  const uid = await runAs(
    { uid: BOB, socket: daemon.socket },
    async ({ client }) => (await (await client.connect()).describe()).caller.uid,
  );
  t.is(uid, BOB);
}

async function daemonWith(t: ExecutionContext, service: string): Promise<Daemon> {
  const daemon = await startDaemon({ policy: `${OPEN_POLICY}\n[service]\n${service}\n` });
  t.teardown(() => daemon.stop());
  return daemon;
}

/** Paths that processes open while `during` runs; null where they cannot be traced. */
async function opened(
  t: ExecutionContext,
  pids: readonly number[],
  during: () => Promise<void>,
): Promise<string | null> {
  if (spawnSync('strace', ['-V']).error !== undefined) return null;
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-trace-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'trace');
  const which = pids.flatMap((pid) => ['-p', String(pid)]);
  const strace = spawn('strace', ['-f', '-e', 'trace=open,openat,openat2', '-o', file, ...which], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  t.teardown(() => strace.kill('SIGKILL'));
  const said = listenTo(strace, 'stderr');
  try {
    for (const pid of pids) await said.match(new RegExp(`Process ${pid} attached`));
  } catch {
    return null;
  }
  await during();
  const ended = new Promise((resolve) => strace.once('close', resolve));
  strace.kill('SIGTERM');
  await ended;
  return readFileSync(file, 'utf8');
}

function count(text: string, pattern: RegExp): number {
  return [...text.matchAll(pattern)].length;
}

privileged('a process is read once in a request, and no file of it that is a sum over its threads', async (t) => {
  const daemon = await daemonWith(t, 'requests_per_second = 10000\nburst = 20000');
  const attacker = attack(
    t,
    daemon,
    `
target = subprocess.Popen(['sleep', '60'], preexec_fn=end_with_parent).pid
c = connect(); c.sendall(message('Describe')); answer(c)
print('ready', file=sys.stderr, flush=True); sys.stdin.readline()
targets = [{'kind': 'process', 'pid': target, 'threads': 'leader'}] * 250
c.sendall(message('Explain', targets=targets, events=[event])); explained = answer(c)
c.sendall(message('Open', targets=targets[:1], events=[event])); opened = answer(c)
print(json.dumps([target, explained.get('error'), opened.get('error')]), flush=True)
sys.stdin.readline()
`,
    ALICE,
  );
  await attacker.saidReady();
  const { broker, opener } = daemon.parts;
  let target = 0;
  // The opener's workers are there before the request.
  const trace = await opened(t, [broker, ...childrenOf(opener)], async () => {
    attacker.child.stdin?.write('\n');
    const [pid, ...errors] = (await attacker.result) as [number, ...unknown[]];
    t.deepEqual(errors, [null, null]);
    target = pid;
  });
  if (trace === null) return skip(t, 'strace cannot trace the daemon');
  // Explain reads the target once, and Open once before the opener does.
  t.is(count(trace, new RegExp(`"/proc/${target}/status"`, 'g')), 2, trace);
  t.is(count(trace, new RegExp(`"/proc/${target}/task/${target}/stat"`, 'g')), 2);
  t.true(count(trace, new RegExp(`"task/${target}/stat"`, 'g')) > 0, 'the opener looks for itself');
  t.is(count(trace, /"(\/proc\/\d+\/)?stat"/g), 0, trace);
});

privileged("a call that comes during another client's request of 256 targets is answered before it", async (t) => {
  const daemon = await daemonWith(t, 'requests_per_second = 10000\nburst = 20000');
  const attacker = attack(
    t,
    daemon,
    `
broker = ${daemon.parts.broker}
pids = children(256)
long, short = connect(), connect()
for c in (long, short): c.sendall(message('Describe')); answer(c)
def stopped():
    with open('/proc/%d/status' % broker) as status: return 'State:\\tT' in status.read()
os.kill(broker, signal.SIGSTOP)
try:
    while not stopped(): time.sleep(0.001)
    # The broker finds both, in this order.
    long.sendall(message('Explain', targets=[{'kind': 'process', 'pid': pid} for pid in pids], events=[event]))
    short.sendall(message('Describe'))
    # Edge-triggered: both stay in the order in which they became readable.
    order = select.epoll()
    for c in (long, short): order.register(c, select.EPOLLIN | select.EPOLLET)
finally: os.kill(broker, signal.SIGCONT)
for c in (long, short): select.select([c], [], [])
first = order.poll()[0][0]
print(json.dumps(['short' if first == short.fileno() else 'long', answer(long).get('error'), answer(short).get('error')]), flush=True)
`,
  );
  t.deepEqual(await attacker.result, ['short', null, null]);
});

privileged('a client that disconnects during its request of many targets leaves no fd behind', async (t) => {
  const daemon = await daemonWith(t, 'requests_per_second = 10000\nburst = 20000');
  const attacker = attack(
    t,
    daemon,
    `
fds = '/proc/%d/fd' % ${daemon.parts.broker}
pids = children(256)
c = connect(); c.sendall(message('Describe')); answer(c)
before = len(os.listdir(fds))
for _ in range(5):
    c = connect(); c.sendall(message('Explain', targets=[{'kind': 'process', 'pid': pid} for pid in pids], events=[event]))
    while len(os.listdir(fds)) < before + 20:
        if select.select([c], [], [], 0)[0]: break
    c.close()
end = time.time() + 20
while len(os.listdir(fds)) > before and time.time() < end: time.sleep(0.01)
print(json.dumps(len(os.listdir(fds)) - before), flush=True)
`,
  );
  t.true(((await attacker.result) as number) <= 0);
  await served(t, daemon);
});

privileged('time that a request took beyond its tokens is charged to its user, and to no other user', async (t) => {
  // A token pays for 0.2 ms.
  const daemon = await daemonWith(t, 'requests_per_second = 500\nburst = 60');
  const attacker = attack(
    t,
    daemon,
    `
# 60 KiB of status: as long as the broker reads at all, and milliseconds for the kernel to print.
pids = children(40, [7] * 30000)
begun = time.process_time()
for pid in pids: open('/proc/%d/status' % pid).read()
cost = time.process_time() - begun
become_user()
c = connect(); call = message('Explain', targets=[{'kind': 'process', 'pid': pid} for pid in pids], events=[event])
c.sendall(call + message('Describe'))
data = b''
while data.count(bytes(1)) < 2: data += c.recv(65536)
print(json.dumps([cost] + [json.loads(part).get('error') for part in data.split(bytes(1))[:2]]), flush=True)
`,
  );
  const [seconds, ...errors] = (await attacker.result) as [number, ...unknown[]];
  // All tokens together are worth 12 ms.
  if (seconds < 0.03)
    return skip(t, `the kernel prints these status files in ${seconds} s, too fast to be charged for`);
  t.deepEqual(errors, [null, 'org.perfbroker.Broker.RateLimited']);
  await served(t, daemon);
});

privileged('connections that never send anything are not vetted, and closed at once beyond the rate', async (t) => {
  const daemon = await daemonWith(t, 'requests_per_second = 1\nburst = 40\nconnections = 20');
  const attacker = attack(
    t,
    daemon,
    `
become_user()
print('ready', file=sys.stderr, flush=True); sys.stdin.readline()
for _ in range(10): connect().close()
kept = [connect() for _ in range(200)]
def state(s):
    data = s.recv(65536)
    return json.loads(data[:-1])['error'].split('.')[-1] if data else 'closed'
# Those within the quota stay open and silent; all others are readable sooner or later.
seen = []
silent = set(kept)
end = time.time() + 30
while len(silent) > 20 and time.time() < end:
    for s in select.select(list(silent), [], [], 1)[0]: seen.append(state(s)); silent.remove(s)
print(json.dumps([os.getpid(), len(silent), {name: seen.count(name) for name in set(seen)}]), flush=True)
sys.stdin.readline()
`,
  );
  await attacker.saidReady();
  let pid = 0;
  const trace = await opened(t, [daemon.parts.broker], async () => {
    attacker.child.stdin?.write('\n');
    const [attackerPid, open, closed] = (await attacker.result) as [number, number, Record<string, number>];
    pid = attackerPid;
    t.is(open, 20);
    // 40 tokens, and those that return in the seconds of this test: 10 have gone, 20 are open, the others were refused with a reason. On a
    // busy machine a connection may cost more than a token.
    t.true((closed['QuotaExceeded'] ?? 0) > 0, JSON.stringify(closed));
    t.true((closed['closed'] ?? 0) >= 150, JSON.stringify(closed));
    await served(t, daemon);
  });
  if (trace === null) return skip(t, 'strace cannot trace the daemon');
  t.is(count(trace, new RegExp(`"/proc/${pid}/`, 'g')), 0, 'the broker has not looked at the attacker');
  t.true(count(trace, /"\/proc\/\d+\/status"/g) > 0, 'but at the client that called');
});

privileged('a client with more groups than the opener reads is refused when it calls, and disconnected', async (t) => {
  const daemon = await daemonWith(t, 'requests_per_second = 10000\nburst = 20000');
  const attacker = attack(
    t,
    daemon,
    `
become_user(range(100000, 100000 + 65536))
c = connect(); c.sendall(message('Describe'))
print(json.dumps([answer(c).get('parameters', {}).get('code'), answer(c).get('error')]), flush=True)
`,
  );
  t.deepEqual(await attacker.result, ['too-many-groups', 'closed']);
  await served(t, daemon);
});

privileged('a broker exits cleanly while clients are connected that have never sent anything', async (t) => {
  const daemon = await startDaemon();
  const attacker = attack(
    t,
    daemon,
    `
become_user()
kept = [connect() for _ in range(30)]
print('1', flush=True)
sys.stdin.readline()
`,
  );
  await attacker.result;
  t.deepEqual(await daemon.stop(), { code: 0, signal: null });
});
