/** A launcher with a compromised collector: it may request anything, and gets only the events and the file of the command. */
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { MISPLACED, encodeLauncherRequest, type LauncherRequest } from '#dist/collector/launcher/launcher_protocol.js';
import { eventFields, type EventFields } from '#dist/model/events/event_fields.js';
import { parseEvents } from '#dist/model/events/syntax/event_syntax.js';
import { fakeNodeTree } from '../tools/fake_node_tree.js';
import { NO_BROKER, start, unfit, userDirectory, type Ended, type Started } from './support.js';

const reason = unfit();
if (reason !== null) console.error(`skipped: ${reason}`);
const real = reason === null ? test.serial : test.serial.skip;

const directory = reason === null ? userDirectory(0) : { path: '', remove: () => undefined };
test.after.always(() => {
  directory.remove();
});

/**
 * Stands for node: sends each packet (lines of base64), writes the answers (hexadecimal, fds) to a file.
 * Between packets it makes a directory (`mkdir PATH`), or waits for the end of the conversation (`wait`).
 */
const NODE = `#!/usr/bin/python3 -S
import array, base64, os, socket, sys
control = socket.socket(fileno=3)
control.setblocking(True)
log = open(os.environ['ANSWERS'], 'w')
for line in open(os.environ['PACKETS']):
    if line.startswith('mkdir '):
        os.mkdir(line[6:].strip())
        continue
    if line.startswith('wait'):
        while control.recv(4096): pass
        continue
    control.send(base64.b64decode(line))
    data, extra, _, _ = control.recvmsg(4096, 4096)
    fds = array.array('i')
    for _, _, part in extra: fds.frombytes(part)
    for fd in fds: print('fd', os.readlink(f'/proc/self/fd/{fd}'), file=log)
    print(data.hex(), file=log, flush=True)
`;

const event = (changes: Partial<EventFields> = {}): EventFields => {
  const [spec] = parseEvents('page-faults:u');
  return { ...eventFields({ ...spec!, enableOnExec: true }), ...changes };
};
const open = (
  events: readonly EventFields[],
  cpus: readonly number[] = [0],
  leaders: readonly (number | undefined)[] = [],
): LauncherRequest => ({ type: 'openEvents', events, leaders, cpus, ringPages: 0 });

type Step = Uint8Array | `mkdir ${string}` | 'wait';

interface Drive {
  readonly started: Started;
  readonly answers: () => string;
}

function begin(packets: readonly Step[], ...options: readonly string[]): Drive {
  const [input = '', output = ''] = ['packets', 'answers'].map((name) => join(directory.path, name));
  const lines = packets.map((step) => (typeof step === 'string' ? step : Buffer.from(step).toString('base64')));
  writeFileSync(input, lines.map((line) => `${line}\n`).join(''));
  writeFileSync(output, '', { mode: 0o666 });
  chmodSync(output, 0o666);
  const programs = fakeNodeTree(join(directory.path, 'tree'), { 'bin/node': NODE });
  const env = { PATH: '/usr/bin:/bin', PACKETS: input, ANSWERS: output };
  const setting = { cwd: directory.path, socket: NO_BROKER, env };
  return {
    started: start(setting, join(programs, 'perfbroker'), 'run', ...options, 'echo', 'ran'),
    answers: () => readFileSync(output, 'utf8'),
  };
}

async function drive(packets: readonly Step[], ...options: readonly string[]): Promise<Ended & { answers: string }> {
  const { started, answers } = begin(packets, ...options);
  return { ...(await started.ended), answers: answers() };
}

const EINVAL = 22;
const PERF_TYPE_HARDWARE = 0;
const PERF_TYPE_HW_CACHE = 3;
const EISDIR = 21;
/** Names of files that a launcher has made. */
const outputs = (): readonly string[] =>
  readdirSync(directory.path).filter((name) => name.startsWith('.') || name.endsWith('.data'));
const errors = (answers: string): readonly number[] =>
  answers
    .split('\n')
    .filter((line) => /^[0-9a-f]{40}$/.test(line))
    .map((line) => Buffer.from(line, 'hex').readUInt32LE(4));

real('valid requests are granted: events on the launcher itself', async (t) => {
  const { answers } = await drive([encodeLauncherRequest(open([event()], [0, -1]))]);
  t.deepEqual(errors(answers), [0]);
  t.is(answers.match(/^fd anon_inode:\[perf_event\]$/gm)?.length, 2);
});

real('malformed requests open nothing', async (t) => {
  const wrong: readonly LauncherRequest[] = [
    open([event({ flags: 0n })]), // would begin with the launcher, not with CMD
    open([event({ flags: 1n << 40n })]),
    open([event({ type: 0xffff_ffff })]),
    open([event({ sampleStackUser: 12 })]),
    open([event()], [70_000]),
    open([event()], [-2]),
    open([event(), event()], [0], [undefined, 1]),
    open([event(), event()], [0], [1, undefined]),
    { ...open([event()]), ringPages: 3 } as LauncherRequest,
    { ...open([event()]), ringPages: 1 << 30 } as LauncherRequest,
    { type: 'tracepoint', name: '../../../../etc/passwd' },
    { type: 'tracepoint', name: 'a:../b' },
    { type: 'tracepoint', name: 'sched' },
  ];
  const counts = encodeLauncherRequest(open([event()]));
  new DataView(counts.buffer).setUint32(12, 1000, true);
  const packets = [...wrong.map(encodeLauncherRequest), counts];
  const { answers } = await drive(packets);
  t.deepEqual(
    errors(answers),
    packets.map(() => EINVAL),
  );
  t.notRegex(answers, /^fd /m);
});

real('PMUs whose configuration contains pointers are refused', async (t) => {
  for (const pmu of ['kprobe', 'uprobe']) {
    const path = `/sys/bus/event_source/devices/${pmu}/type`;
    if (!existsSync(path)) {
      t.log(`skipped: there is no ${pmu}`);
      continue;
    }
    const type = Number(readFileSync(path, 'utf8'));
    // The upper half of the config of a hardware or cache event names the PMU of a hybrid machine.
    const config = BigInt(type) << 32n;
    const ways = [{ type }, { type: PERF_TYPE_HARDWARE, config }, { type: PERF_TYPE_HW_CACHE, config }];
    const packets = ways.map((way) => encodeLauncherRequest(open([event(way)])));
    t.deepEqual(errors((await drive(packets)).answers), [EINVAL, EINVAL, EINVAL]);
  }
  t.pass();
});

real('it gets the file that the command line names, once, and no other', async (t) => {
  const output = encodeLauncherRequest({ type: 'output' });
  const { answers } = await drive([output, output], '-o', 'named.data');
  t.is(errors(answers)[0], 0);
  t.not(errors(answers)[1], 0);
  const fds = answers.match(/^fd .*$/gm) ?? [];
  t.is(fds.length, 1);
  t.regex(fds[0] ?? '', new RegExp(`^fd ${directory.path}/\\.perfbroker-[0-9a-f]{16}$`));
  t.deepEqual(outputs(), [], 'nothing was recorded');
});

real('a file that cannot be given its name is reported to it, and leaves everything as it was', async (t) => {
  const shared = join(directory.path, 'shared');
  mkdirSync(shared);
  chmodSync(shared, 0o1777);
  const path = join(shared, 'late.data');
  const steps = [encodeLauncherRequest({ type: 'output' }), `mkdir ${path}`, encodeLauncherRequest({ type: 'ready' })];
  const { stdout, answers } = await drive(steps as Step[], '-o', path);
  t.is(stdout, 'ran\n');
  t.deepEqual(errors(answers), [0, EISDIR]);
  const last = answers.trim().split('\n').at(-1) ?? '';
  t.is(Buffer.from(last, 'hex').readUInt32LE(8), MISPLACED);
  t.deepEqual(readdirSync(shared), ['late.data']);
  t.true(statSync(path).isDirectory());
});

real("a launcher of root's that is killed before the command begins leaves no file", async (t) => {
  const { started, answers } = begin([encodeLauncherRequest({ type: 'output' }), 'wait'], '-o', 'killed.data');
  while (!answers().includes('fd ')) await new Promise((resolve) => setTimeout(resolve, 5));
  t.is(outputs().length, 1);
  started.child.kill('SIGKILL');
  // Its standard error is the collector's as well, which waits until nothing of the launcher is left.
  t.is((await started.ended).code, 137);
  t.deepEqual(outputs(), []);
});

real('a packet of another size, version or kind ends the conversation, and CMD runs unprofiled', async (t) => {
  const good = encodeLauncherRequest({ type: 'ready' });
  const version = good.slice();
  version[0] = 9;
  const kind = good.slice();
  kind[4] = 77;
  for (const packet of [good.subarray(0, 100), Buffer.concat([good, good]), version, kind]) {
    const { code, stdout, stderr } = await drive([packet]);
    t.is(code, 0);
    t.is(stdout, 'ran\n');
    t.regex(
      stderr,
      /^perfbroker: echo runs unprofiled: the collector (and the launcher have different versions|sent an unknown request)/,
    );
  }
});

real('a collector that ends at once is reported with its last output, without terminal escape sequences', async (t) => {
  const failed = { type: 'failed', exitCode: 1, text: 'no \x1b[31mluck\nsecond line' } as const;
  const { stdout, stderr } = await drive([encodeLauncherRequest(failed)]);
  t.is(stdout, 'ran\n');
  t.regex(stderr, /^perfbroker: echo runs unprofiled: no .*luck\n$/);
  t.false(stderr.includes('\x1b'));
  const gone = await drive([], '--require');
  t.is(gone.code, 125);
  t.regex(gone.stderr, /^perfbroker: echo was not run: the collector ended before it was ready/);
});
