import { readFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { CommandParent } from '#dist/collector/launcher/command_parent.js';
import {
  PARENT_MESSAGE_BYTES,
  decodeParentMessage,
  encodeParentMessage,
  type ParentMessage,
} from '#dist/collector/launcher/parent_protocol.js';
import { native, type Fd } from '#dist/native.js';

interface Pair {
  readonly parent: CommandParent;
  /** The parent's end. */
  readonly theirs: Fd;
}

/** A parent whose part this test plays. */
function connect(t: ExecutionContext, terminals = '12', pid = process.pid): Pair {
  const [ours, theirs] = native.socketPair('seqpacket');
  process.env['PERFBROKER_PARENT'] = `${pid} ${ours} ${terminals} 7`;
  const parent = CommandParent.fromEnvironment();
  if (parent === undefined) throw new Error('there is no parent');
  t.teardown(() => parent[Symbol.dispose]());
  return { parent, theirs };
}

async function receive(socket: Fd): Promise<ParentMessage> {
  const bytes = new Uint8Array(PARENT_MESSAGE_BYTES);
  while (native.receiveMessage(socket, bytes) === null) await new Promise((resolve) => setImmediate(resolve));
  return decodeParentMessage(bytes);
}

const send = (socket: Fd, type: ParentMessage['type'], value: number): unknown =>
  native.sendMessage(socket, encodeParentMessage({ type, value }), []);

test.serial('a process that no parent started has none, and the variable does not stay', (t) => {
  for (const marker of ['', '1 2', '1 2 3 4', 'x 3 12 0']) {
    process.env['PERFBROKER_PARENT'] = marker;
    t.is(CommandParent.fromEnvironment(), undefined);
    t.is('PERFBROKER_PARENT' in process.env, false);
  }
});

test.serial('the parent starts, releases and ends the command, and reports its exec and its exit', async (t) => {
  const { parent, theirs } = connect(t);
  const starting = parent.start(3, false);
  t.deepEqual(await receive(theirs), { type: 'start', value: 3 });
  send(theirs, 'started', 4321);
  const workload = await starting;
  t.is(workload.pid, 4321);
  workload.release();
  t.is((await receive(theirs)).type, 'release');
  send(theirs, 'executed', 0);
  workload.terminate();
  t.is((await receive(theirs)).type, 'terminate');
  send(theirs, 'exited', 162);
  t.deepEqual([await workload.executed, await workload.exited], [0, 162]);
});

test.serial('a command that cannot be started is an error with its errno', async (t) => {
  const { parent, theirs } = connect(t);
  const starting = parent.start(3, true);
  t.is((await receive(theirs)).type, 'startTimer');
  send(theirs, 'failed', 11);
  await t.throwsAsync(starting, { message: /could not be started/ });
});

test.serial('the end of the parent is noticed, also by a start under way', async (t) => {
  const { parent, theirs } = connect(t);
  const gone = new Promise((resolve) => parent.gone.addEventListener('abort', resolve, { once: true }));
  const starting = parent.start(3, false);
  native.close(theirs);
  await t.throwsAsync(starting);
  await gone;
  await t.throwsAsync(parent.start(3, false));
});

test.serial('terminals, changed arguments and the foreground are those of the parent', (t) => {
  const { parent } = connect(t, '2');
  t.deepEqual([parent.isTerminal(1), parent.isTerminal(2), parent.foreignArgument], [false, true, 7]);
  const fields = readFileSync('/proc/self/stat', 'latin1')
    .replace(/^.*\) /s, '')
    .split(' ');
  t.is(parent.isInForeground(), fields[2] === fields[5]);
  t.false(connect(t, '-', 4_194_304).parent.isInForeground());
});
