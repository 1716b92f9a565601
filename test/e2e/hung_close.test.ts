/** One user keeps a close(2) of the broker waiting, and then has the broker close more and more. */
import { spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { ALICE, BOB, runAs } from './as_user.js';
import { noPrivilege, skip, startDaemon, type Daemon } from './daemon.js';
import { PYTHON, startLingering } from './lingering.js';
import { fdsBackTo, openFds, settledFds } from '../tools/fds_of.js';

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test.serial : test.serial.skip;

const POLICY = `
[service]
requests_per_second = 20
burst = 100

[[rule]]
name = "own"
verdict = "allow"
subjects = { everyone = true }
targets = { same_user = true }
classes = ["user"]
mode = ["counting", "downgrade"]
`;

let daemon: Daemon;
test.serial.before(async () => {
  if (reason === null) daemon = await startDaemon({ policy: POLICY, args: ['--with-tracer'] });
});
test.serial.after.always(async () => {
  await daemon?.stop();
});

/**
 * Sends an fd whose last close(2) hangs, behind a message for which the broker closes the connection. That has an fd as well: one
 * recvmsg(2) gets no messages beyond the first with fds.
 */
const HANG = `
def connect():
    connection = socket.socket(socket.AF_UNIX); connection.connect(sys.argv[1])
    return connection
sender, receiver = lingering()
first = connect()
socket.send_fds(first, [b'no json\\0'], [0])
socket.send_fds(first, [b'x'], [sender.fileno()])
sender.close()
`;
const SENT = `
print('sent', flush=True)
sys.stdin.readline()
`;

/** The broker stands still: what a client sends in the meantime lies unread, as it does for an attacker who is quick or lucky. */
async function whileStopped<Result>(work: () => Promise<Result>): Promise<Result> {
  const { broker } = daemon.parts;
  process.kill(broker, 'SIGSTOP');
  try {
    while (!/^State:\s+T/m.test(readFileSync(`/proc/${broker}/status`, 'latin1'))) await sleep(5);
    return await work();
  } finally {
    process.kill(broker, 'SIGCONT');
  }
}

/**
 * A program of ALICE's for which the broker hangs in a close(2) until the program ends.
 * @param more that it does before the broker goes on; a signal to the broker, as SIGSTOP is, would end the hang
 */
async function startHanging(t: ExecutionContext, more = ''): Promise<ChildProcess> {
  const attacker = await whileStopped(() => startLingering(`${HANG}${more}${SENT}`, daemon.socket));
  t.teardown(() => attacker.kill('SIGKILL'));
  t.true(await othersAreServed());
  return attacker;
}

function othersAreServed(): Promise<boolean> {
  return runAs(
    { uid: BOB, socket: daemon.socket },
    async ({ client }, uid) => (await (await client.connect()).describe()).caller.uid === uid,
    BOB,
  );
}

async function fdsFallBelow(pid: number, limit: number): Promise<void> {
  for (const end = Date.now() + 20_000; openFds(pid) >= limit; await sleep(10))
    if (Date.now() > end)
      throw new Error(`process ${pid} has ${openFds(pid)} fds open, and should have below ${limit}`);
}

for (const [title, end] of [
  ['out-of-band data', ''],
  ['out-of-band data of a client that has gone', 'connection.close()\n'],
] as const)
  privileged(`an fd whose close hangs blocks no other client when it comes with ${title}`, async (t) => {
    if (!existsSync(PYTHON)) return skip(t, `${PYTHON} is missing`);
    const script = `
import array
sender, receiver = lingering()
connection = socket.socket(socket.AF_UNIX); connection.connect(sys.argv[1])
rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [sender.fileno()]))]
try: connection.sendmsg([b'o'], rights, socket.MSG_OOB)
except OSError:
    print('sent: none', flush=True); sys.exit()
sender.close()
try: connection.send(b'{"method":"org.perfbroker.Broker.Describe"}\\0')
except OSError: pass
${end}${SENT}`;
    const attacker = await startLingering(script, daemon.socket);
    t.teardown(() => attacker.kill('SIGKILL'));
    t.true(await othersAreServed());
    // The lock-up would end with the attacker.
    if (attacker.exitCode !== null) return skip(t, 'this kernel has no out-of-band data for AF_UNIX');
    attacker.kill('SIGKILL');
  });

/** 256 + 512 + 768 are closed together, and 64 wait. */
const CONNECTIONS = 1600;

privileged(
  'connections over the rate that hold unread fds keep no fd numbers of the broker behind a close that hangs',
  async (t) => {
    if (!existsSync(PYTHON)) return skip(t, `${PYTHON} is missing`);
    const limit = Number(spawnSync('sh', ['-c', 'ulimit -Hn']).stdout);
    if (limit < 2 * CONNECTIONS) return skip(t, `the limit of open files is ${limit}`);
    const { broker } = daemon.parts;
    const before = await settledFds(broker);
    const attacker = await startHanging(
      t,
      `
import os, resource
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
null = os.open('/dev/null', os.O_RDONLY)
for _ in range(${CONNECTIONS}):
    connection = connect()
    socket.send_fds(connection, [b'x'], [null])
    connection.close()
`,
    );
    await fdsFallBelow(broker, before + CONNECTIONS / 2);
    t.is(attacker.exitCode, null);
    attacker.kill('SIGKILL');
    await fdsBackTo(broker, before);
    t.true(await othersAreServed());
  },
);

privileged('downgrades of a user whose close hangs leave no fd of the broker behind', async (t) => {
  if (!existsSync(PYTHON)) return skip(t, `${PYTHON} is missing`);
  const { broker } = daemon.parts;
  const attacker = await startHanging(t);
  const before = await settledFds(broker);
  const done = await runAs({ uid: ALICE, socket: daemon.socket }, async ({ client }) => {
    let connection = await client.connect();
    const request = { target: { pid: process.pid }, drop: [], noNewPrivs: true, dryRun: true };
    for (let count = 0; count < 10;) {
      try {
        await connection.downgrade(request);
        count += 1;
      } catch (error) {
        // The test before may have used up the tokens of this user.
        const { error: name, code } = error as { error?: string; code?: string };
        if (name !== 'RateLimited' && code !== 'connection-lost') throw error;
        await new Promise((resolve) => setTimeout(resolve, 200));
        if (code === 'connection-lost') connection = await client.connect();
      }
    }
    return true;
  });
  t.true(done);
  await fdsBackTo(broker, before);
  t.is(attacker.exitCode, null);
  attacker.kill('SIGKILL');
});
