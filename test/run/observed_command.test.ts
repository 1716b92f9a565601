/** CMD of `record` and `stat`: a child of the native parent, with everything that a shell would have given it. */
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { startDaemon, type Daemon } from '../e2e/daemon.js';
import { compileTools, type CompiledTools } from '../tools/compile.js';
import { ALICE, end, launcher, start, unfit, userDirectory, type Ended, type Setting } from './support.js';

const reason = unfit();
if (reason !== null) console.error(`skipped: ${reason}`);
const real = reason === null ? test.serial : test.serial.skip;

let daemon: Daemon;
let tools: CompiledTools;
const directory = reason === null ? userDirectory(ALICE) : { path: '', remove: () => undefined };
test.serial.before(async () => {
  if (reason !== null) return;
  daemon = await startDaemon();
  tools = compileTools('inherited');
  spawnSync('chmod', ['-R', 'a+rX', tools.path('.')]);
});
test.after.always(async () => {
  await daemon?.stop();
  tools?.remove();
  directory.remove();
});

const asUser = (env: Readonly<Record<string, string>> = {}): Setting => ({
  uid: ALICE,
  cwd: directory.path,
  socket: daemon.socket,
  env,
});

/** The beginning of a command line that observes a command. */
const observers = (): readonly (readonly string[])[] => [
  [launcher(), 'record', '-o', join(directory.path, 'observed.data'), '--'],
  [launcher(), 'stat', '--'],
];

/** A shell script in which "$@" observes a command. */
const script = (text: string, observer: readonly string[], env?: Readonly<Record<string, string>>): Promise<Ended> =>
  end(asUser(env), 'bash', '-c', text, 'bash', ...observer);

/** Lines that differ in every run: ids of the process, memory, number of waits. */
const VOLATILE =
  /^status (Tgid|Pid|NStgid|NSpid|Vm\w+|Rss\w+|SigQ|\w*voluntary_ctxt_switches|x86_\w+):|^fdinfo [12] ino/;
/**
 * A child has another parent than its caller's, and by fork(2) neither its pending signals, its timers, its children nor
 * its role as a subreaper.
 */
const OF_A_CHILD = /^(status (PPid|SigPnd):|ids|pending|alarm|subreaper|child ended|children)/;

real('a command differs from one that a shell starts in nothing but being a child', async (t) => {
  const inherited = tools.path('inherited');
  const bare = await end(asUser(), inherited, 'prepare-alone', inherited, 'report');
  const lines = (text: string): readonly string[] =>
    text.split('\n').filter((line) => !VOLATILE.test(line) && !OF_A_CHILD.test(line));
  const expected = lines(bare.stdout);
  t.true(expected.length > 80, bare.stderr);
  for (const observer of observers()) {
    const { code, stdout, stderr } = await end(asUser(), inherited, 'prepare-alone', ...observer, inherited, 'report');
    t.is(code, 0, stderr);
    t.deepEqual(lines(stdout), expected);
    t.regex(stderr, /samples?|time elapsed/);
    const group = (text: string): string | undefined => /^ids \d+ (\d+ \d+)$/m.exec(text)?.[1];
    t.is(group(stdout)?.split(' ')[1], group(bare.stdout)?.split(' ')[1], 'session');
  }
});

real('the exit code is that of the command, also after a real-time signal and a stop', async (t) => {
  for (const observer of observers())
    for (const [command, code] of [
      ['exit 7', 7],
      ['kill -9 $$', 137],
      ['kill -34 $$', 162],
      ['kill -64 $$', 192],
      ['(sleep 0.2; kill -CONT $$) & kill -STOP $$; exit 5', 5],
    ] as const)
      t.is((await end(asUser(), ...observer, 'bash', '-c', command)).code, code, command);
});

real('a command line that observes nothing has exit codes of its own', async (t) => {
  for (const observer of observers()) {
    t.is((await end(asUser(), ...observer, './missing')).code, 127);
    t.is((await end(asUser(), ...observer, '/etc/passwd')).code, 126);
    t.is((await end(asUser(), ...observer.slice(0, 2), '--bogus', '--', 'touch', 'ran')).code, 2);
    const unreachable = { ...asUser(), socket: '/nonexistent/socket' };
    t.is((await end(unreachable, ...observer, 'touch', 'ran')).code, 3);
  }
  t.throws(() => readFileSync(join(directory.path, 'ran')), { code: 'ENOENT' });
});

real(
  'every open file of the caller has its number: here documents, locks, sockets, process substitution',
  async (t) => {
    for (const observer of observers()) {
      t.is((await script(`"$@" bash -c 'read -r x <&7; echo "got $x"' 7<<<hello`, observer)).stdout, 'got hello\n');
      const held = await script(`(flock -n 9 && "$@" sh -c 'flock -n 9 && echo held') 9>lock`, observer);
      t.is(held.stdout, 'held\n', held.stderr);
      t.is((await script(`"$@" cat <(echo one) <(echo two)`, observer)).stdout, 'one\ntwo\n');
      const listener = `import os, socket
s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); os.dup2(s.fileno(), 3); os.set_inheritable(3, True)
os.environ['LISTEN_FDS'] = '1'; os.environ['ADDRESS'] = str(s.getsockname()); import sys; os.execvp(sys.argv[1], sys.argv[1:])`;
      const check = `import os, socket; print(os.environ['LISTEN_FDS'], str(socket.socket(fileno=3).getsockname()) == os.environ['ADDRESS'])`;
      const passed = await end(asUser(), 'python3', '-c', listener, ...observer, 'python3', '-c', check);
      t.is(passed.stdout, '1 True\n', passed.stderr);
    }
  },
);

real("make's job server serves a make that is observed", async (t) => {
  if (spawnSync('make', ['--version']).error !== undefined) return void t.pass('skipped: there is no make');
  // Each of the two jobs waits for the other one.
  writeFileSync(
    join(directory.path, 'inner.mk'),
    'all: one two\none:\n\techo 1 >pipe\ntwo:\n\tread line <pipe; echo "read $$line"\n',
  );
  for (const observer of observers()) {
    writeFileSync(
      join(directory.path, 'outer.mk'),
      `all:\n\trm -f pipe; mkfifo pipe\n\t+${observer.join(' ')} $(MAKE) -f inner.mk\n`,
    );
    const { code, stdout, stderr } = await end(asUser(), 'make', '-j4', '-f', 'outer.mk');
    t.is(code, 0, stderr);
    t.regex(stdout, /^read 1$/m);
    t.notRegex(stderr, /jobserver/);
  }
});

real("node's channel to its parent and its options belong to the command", async (t) => {
  const child = `process.send({ options: process.env.NODE_OPTIONS, required: globalThis.required }); process.disconnect();`;
  writeFileSync(join(directory.path, 'pre.cjs'), 'globalThis.required = true;');
  const parent = `
    const [program, ...args] = process.argv.slice(1);
    const child = require('child_process').spawn(program, [...args, process.execPath, '-e', ${JSON.stringify(child)}], {
      stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
      env: { ...process.env, NODE_OPTIONS: '--require ./pre.cjs' },
    });
    child.on('message', (message) => console.log(JSON.stringify(message)));`;
  for (const observer of observers()) {
    const { stdout, stderr } = await end(asUser(), process.execPath, '-e', parent, ...observer);
    t.is(stdout, '{"options":"--require ./pre.cjs","required":true}\n', stderr);
  }
});

real('the bytes of a command that are not UTF-8 stay as they are, and those of options are refused', async (t) => {
  for (const observer of observers()) {
    const { stdout } = await script(`"$@" printf '%s' $'caf\\xe9' | od -An -tx1`, observer);
    t.is(stdout, ' 63 61 66 e9\n');
    const { code, stderr } = await script(`"\${@:1:2}" -o $'caf\\xe9' -- true`, observer);
    t.is(code, 2);
    t.regex(stderr, /^perfbroker: argument 3 is not UTF-8/);
  }
});

real('signals that the caller ignores stay ignored, in perfbroker and in the command', async (t) => {
  for (const observer of observers()) {
    const fifo = fifoIn(directory.path);
    const observed = start(
      asUser(),
      ...['bash', '-c', `trap '' HUP TERM; exec "$@"`, 'bash', ...observer],
      ...['sh', '-c', `grep SigIgn /proc/self/status; echo ready; read -r line <"$0"; exit 9`, fifo],
    );
    await observed.printed(/ready/);
    observed.child.kill('SIGHUP');
    observed.child.kill('SIGTERM');
    writeFileSync(fifo, 'line\n');
    const { code, stdout, stderr } = await observed.ended;
    t.is(code, 9, stderr);
    t.is(BigInt(`0x${/SigIgn:\t(\S+)/.exec(stdout)?.[1]}`) & 0x4001n, 0x4001n, 'SIGHUP and SIGTERM');
    t.regex(stderr, /the command ended|time elapsed/);
  }
});

real('kill -INT ends a recording that a script started in the background, where a shell has it ignored', async (t) => {
  for (const observer of observers()) {
    const text = `"$@" sh -c 'grep SigIgn /proc/self/status; exec sleep 1000' >out & until grep -q SigIgn out; do sleep 0.05; done; kill -INT $!; wait $!; echo "code $?"`;
    const { stdout, stderr } = await script(`: >out; ${text}`, observer);
    t.is(stdout, 'code 143\n', stderr);
    t.regex(stderr, /interrupted|time elapsed/);
    const ignored = BigInt(`0x${/SigIgn:\t(\S+)/.exec(readFileSync(join(directory.path, 'out'), 'utf8'))?.[1]}`);
    t.is(ignored & 2n, 2n, 'in CMD it stays ignored');
  }
});

real('a signal that ends perfbroker ends the recording and the command', async (t) => {
  for (const observer of observers())
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      const observed = start(asUser(), ...observer, 'sh', '-c', 'echo ready; exec sleep 1000');
      await observed.printed(/ready/);
      observed.child.kill(signal);
      const { code, stderr } = await observed.ended;
      t.is(code, 143, stderr);
      t.regex(stderr, /interrupted|time elapsed/);
    }
});

real('the program refuses to observe a command when it is setuid', async (t) => {
  const copy = join(directory.path, 'setuid-perfbroker');
  copyFileSync(launcher(), copy);
  chmodSync(copy, 0o4755);
  for (const observer of observers()) {
    const { code, stdout, stderr } = await end(asUser(), copy, ...observer.slice(1), 'echo', 'ran');
    t.deepEqual([code, stdout], [125, '']);
    t.regex(stderr, /must not be setuid/);
  }
});

/** The node process that a parent has started. */
function collectorOf(pid: number): number {
  const listed = spawnSync('sh', ['-c', `grep -lzs "^PERFBROKER_PARENT=${pid} " /proc/[0-9]*/environ`], {
    encoding: 'utf8',
  }).stdout;
  const found = /\/proc\/(\d+)\//.exec(listed)?.[1];
  if (found === undefined) throw new Error('there is no collector');
  return Number(found);
}

/** A command that goes on until its pipe is written. */
const WAIT = 'echo ready; read -r line <"$0"; exit 9';
let fifos = 0;
/** A pipe with a name: a command that reads it goes on until the test lets it end. */
function fifoIn(path: string): string {
  const fifo = join(path, `fifo-${++fifos}`);
  spawnSync('mkfifo', ['-m', '666', fifo]);
  return fifo;
}

real('a command goes on when its collector is killed, and when the daemon is', async (t) => {
  const victim = await startDaemon();
  t.teardown(() => victim.stop());
  for (const observer of observers()) {
    const fifo = fifoIn(directory.path);
    const observed = start(asUser(), ...observer, 'sh', '-c', WAIT, fifo);
    await observed.printed(/ready/);
    process.kill(collectorOf(observed.child.pid), 'SIGKILL');
    await observed.complained(/was killed by signal 9: nothing is recorded or counted from now on/);
    writeFileSync(fifo, 'line\n');
    t.is((await observed.ended).code, 9);
  }
  const both = observers().map((observer) => {
    const fifo = fifoIn(directory.path);
    const setting = { ...asUser(), socket: victim.socket };
    return { fifo, observed: start(setting, ...observer, 'sh', '-c', WAIT, fifo) };
  });
  for (const { observed } of both) await observed.printed(/ready/);
  await victim.stop();
  for (const { fifo, observed } of both) {
    writeFileSync(fifo, 'line\n');
    const { code, stderr } = await observed.ended;
    t.is(code, 9, stderr);
    t.regex(stderr, /the broker ended \([\d.]+ to [\d.]+ s after the start\)/);
  }
});

real('a killed parent ends the recording, and its command goes on', async (t) => {
  const output = join(directory.path, 'orphan.data');
  const fifo = fifoIn(directory.path);
  const done = join(directory.path, 'orphan.done');
  const observed = start(
    asUser(),
    ...[launcher(), 'record', '-o', output, '--'],
    ...['sh', '-c', 'echo ready; read -r line <"$0"; echo line >"$1"', fifo, done],
  );
  await observed.printed(/ready/);
  observed.child.kill('SIGKILL');
  await observed.complained(/interrupted/);
  writeFileSync(fifo, 'line\n');
  await observed.ended;
  t.is(readFileSync(done, 'utf8'), 'line\n');
});

real('every limit of open files either suffices or is refused before the command runs', async (t) => {
  let ran = 0;
  for (let limit = 4; limit <= 64; limit += limit < 48 ? 1 : 16) {
    rmSync(join(directory.path, 'ran'), { force: true });
    const { code, stderr } = await script(
      `ulimit -n ${limit}; "$@" sh -c 'echo >ran; exit 7'`,
      observers()[limit % 2]!,
    );
    if (code === 7) ran++;
    else {
      t.is(code, 1, `${limit}: ${stderr}`);
      t.regex(stderr, /^perfbroker: [^\n]*the limit is \d+[^\n]*\n( {2}[^\n]*\n)*$/, String(limit));
      t.throws(() => readFileSync(join(directory.path, 'ran')), { code: 'ENOENT' });
    }
  }
  t.true(ran > 0);
});

/** Collectors of this file's daemon. */
function collectors(): string {
  const mine = `grep -lzsF "PERFBROKER_SOCKET=${daemon.socket}" /proc/[0-9]*/environ | xargs -r dirname | xargs -r -I{} sh -c 'tr "\\0" " " <{}/cmdline; echo'`;
  return spawnSync('sh', ['-c', `${mine} | grep cli/main.js`], { encoding: 'utf8' }).stdout;
}

real('address space of 300 MiB is enough, and no collector is left behind', async (t) => {
  for (const observer of observers()) {
    const { code, stderr } = await script(`ulimit -v ${300 << 10}; "$@" sh -c 'exit 7'`, observer);
    t.is(code, 7, stderr);
    t.regex(stderr, /samples?|time elapsed/);
  }
  t.is(collectors(), '', 'no collector is left behind');
});
