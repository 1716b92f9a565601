/** A deny rule by group against a member that leaves the group in a user namespace, or acts under borrowed credentials. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import test from 'ava';
import { ALICE, BOB } from './as_user.js';
import { noPrivilege, skip, startDaemon, type Daemon, type DaemonOptions } from './daemon.js';
import { PYTHON } from './lingering.js';
import { startBusy, type Victim } from './target.js';
import { compileTools } from '../tools/compile.js';
import { listenTo } from '../tools/said.js';

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test.serial : test.serial.skip;

/** A group that exists nowhere. */
const CONTRACTORS = 61099;

const POLICY = `
[[rule]]
name = "no-contractors"
verdict = "deny"
subjects = { groups = [${CONTRACTORS}] }
targets = { any_user = true }
classes = "all"

[[rule]]
name = "rest"
verdict = "allow"
subjects = { everyone = true }
targets = { users = [${BOB}] }
classes = ["user", "other-users"]
`;

/** argv: pid, then more. Makes `s`, its connection, and prints the answers to Describe and Open. */
const program = (connect: string): string => `
import ctypes, json, os, socket, sys
pid = int(sys.argv[1])
${connect}
s.settimeout(30)
def call(method, parameters):
    s.sendall(json.dumps({'method': 'org.perfbroker.Broker.' + method, 'parameters': parameters}).encode() + b'\\0')
    text = b''
    while not text.endswith(b'\\0'):
        part = s.recv(1 << 16)
        if not part: raise EOFError(method)
        text += part
    print(text[:-1].decode(), flush=True)
call('Describe', {})
event = {'source': {'kind': 'software', 'name': 'task-clock'}, 'exclude': ['kernel']}
call('Open', {'targets': [{'kind': 'process', 'pid': pid}], 'events': [event]})
`;

/**
 * argv: pid, socket, uid, groups. With `leave` it waits for its id maps in a user namespace of its own, and drops every
 * group there.
 */
const MEMBER = program(`
path, uid, groups, leave = sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5] == 'leave'
os.setgroups([int(group) for group in groups.split(',') if group])
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
if leave:
    if ctypes.CDLL(None, use_errno=True).unshare(0x10000000) != 0: raise OSError(ctypes.get_errno(), 'unshare')
    print('unshared', flush=True)
    sys.stdin.readline()
    os.setgroups([])
s = socket.socket(socket.AF_UNIX)
s.connect(path)`);

/** It was connected before it was executed. */
const CONNECTED = program('s = socket.socket(fileno=3)');

interface Answers {
  readonly groups: readonly number[];
  readonly rules: readonly string[];
  /** Absent when it was given an event. */
  readonly error: string | undefined;
  readonly text: string;
}

async function asks(daemon: Daemon, pid: number, groups: readonly number[], leave = false): Promise<Answers> {
  const args = [String(pid), daemon.socket, String(ALICE), groups.join(), leave ? 'leave' : 'stay'];
  const child = spawn('python3', ['-c', MEMBER, ...args], { cwd: '/', stdio: ['pipe', 'pipe', 'inherit'] });
  const said = listenTo(child, 'stdout');
  const closed = once(child, 'close');
  if (leave) {
    await said.match(/^unshared$/m);
    mapAlice(child.pid!);
  }
  child.stdin.end('\n');
  await closed;
  return answersIn(said.text());
}

/**
 * Asks as a member of the group that stays in our user namespace and connects with the credentials of a child that has left both.
 * @returns null where io_uring is not available
 */
async function asksByRing(daemon: Daemon, pid: number, tool: string): Promise<Answers | null> {
  const ids = [`--reuid=${ALICE}`, `--regid=${ALICE}`, `--groups=${CONTRACTORS}`];
  const command = [tool, daemon.socket, PYTHON, '-c', CONNECTED, String(pid)];
  const child = spawn('setpriv', [...ids, ...command], { cwd: '/', stdio: ['pipe', 'pipe', 'inherit'] });
  const said = listenTo(child, 'stdout');
  const closed = once(child, 'close');
  try {
    await said.match(/^unshared \d+$/m);
  } catch (error) {
    if (child.exitCode === 77) return null;
    throw error;
  }
  mapAlice(Number(/^unshared (\d+)$/m.exec(said.text())![1]));
  child.stdin.end('\n');
  await closed;
  return answersIn(said.text());
}

/** As newuidmap(1) and newgidmap(1) would for a user with a line in /etc/subgid: these leave setgroups(2) allowed. */
function mapAlice(pid: number): void {
  for (const map of ['uid_map', 'gid_map']) writeFileSync(`/proc/${pid}/${map}`, `0 ${ALICE} 1\n`);
}

function answersIn(said: string): Answers {
  const [described, opened] = said
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as { error?: string; parameters: Record<string, unknown> });
  return {
    groups: (described?.parameters['caller'] as { groups: number[] }).groups,
    rules: described?.parameters['rules'] as string[],
    error: opened?.error,
    text: JSON.stringify(opened),
  };
}

async function scene(
  options: DaemonOptions = {},
): Promise<{ daemon: Daemon; victim: Victim; end: () => Promise<void> }> {
  const daemon = await startDaemon({ policy: POLICY, args: ['--ceiling', 'user,other-users'], ...options });
  const victim = await startBusy(BOB);
  const end = async (): Promise<void> => {
    await victim.end();
    await daemon.stop();
  };
  return { daemon, victim, end };
}

privileged('a member that leaves a denied group in a user namespace is denied as it was in the group', async (t) => {
  const { daemon, victim, end } = await scene();
  t.teardown(end);
  const stranger = await asks(daemon, victim.pid, []);
  t.is(stranger.error, undefined, stranger.text);
  t.deepEqual(stranger.rules, ['rest']);

  const member = await asks(daemon, victim.pid, [CONTRACTORS]);
  t.is(member.error, 'org.perfbroker.Broker.PolicyDenied');

  const left = await asks(daemon, victim.pid, [CONTRACTORS], true);
  t.deepEqual(left.groups, [], 'it is not in the group any more');
  t.is(left.error, 'org.perfbroker.Broker.PolicyDenied');
  t.regex(left.text, /no-contractors.* denies .*the rule may name the caller/);
  t.deepEqual(left.rules, ['no-contractors', 'rest']);
});

privileged('a member that connects with the credentials of a child that left a denied group is denied', async (t) => {
  const tools = compileTools('connect_by_ring');
  t.teardown(tools.remove);
  const { daemon, victim, end } = await scene();
  t.teardown(end);
  const left = await asksByRing(daemon, victim.pid, tools.path('connect_by_ring'));
  if (left === null) return skip(t, 'io_uring is not available here (kernel.io_uring_disabled, or a seccomp filter)');
  t.deepEqual(left.groups, [], 'its connection is not in the group');
  t.is(left.error, 'org.perfbroker.Broker.PolicyDenied');
  t.regex(left.text, /no-contractors.* denies .*its process has other ids than its connection/);
  t.deepEqual(left.rules, ['no-contractors', 'rest']);
});

privileged('a rule that denies a group also denies a subordinate uid, whose user may be in the group', async (t) => {
  if (!existsSync('/etc/subuid')) return skip(t, 'there is no /etc/subuid');
  const { daemon, victim, end } = await scene({ subuid: `mallory:${ALICE}:1\n` });
  t.teardown(end);
  const lent = await asks(daemon, victim.pid, []);
  t.is(lent.error, 'org.perfbroker.Broker.PolicyDenied');
  t.regex(lent.text, /no-contractors.*its uid is a subordinate one/);
});
