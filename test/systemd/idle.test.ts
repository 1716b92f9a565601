/** A broker that its socket started ends when it is idle, and no client notices. */
import { setTimeout as sleep } from 'node:timers/promises';
import { existsSync, writeFileSync } from 'node:fs';
import test from 'ava';
import { ALICE, runAs, startAs } from '../e2e/as_user.js';
import { noPrivilege, OPEN_POLICY, skip, startDaemon } from '../e2e/daemon.js';
import { PYTHON, startLingering } from '../e2e/lingering.js';
import { startActivated } from './activated.js';

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test : test.skip;

const IDLE = `${OPEN_POLICY}\n[service]\nidle_exit = "1 s"\nburst = 500\n`;

privileged(
  'no request is lost or refused while the daemon exits because it is idle and is started again',
  async (t) => {
    const activated = await startActivated(IDLE);
    t.teardown(() => activated.end());
    // Around the moment in which it ends, which is a second after the last connection.
    const answered = await runAs({ uid: ALICE, socket: activated.socket }, async ({ client }) => {
      let count = 0;
      for (const wait of [0, 990, 997, 999, 1000, 1001, 1003, 1010]) {
        await new Promise((resolve) => setTimeout(resolve, wait));
        const connection = await client.connect();
        if ((await connection.describe()).caller.uid > 0) count += 1;
        await connection.close();
      }
      return count;
    });
    t.is(answered, 8);
    const ends = activated.events.filter((event) => event.startsWith('ended'));
    t.true(ends.length >= 1, activated.events.join());
    t.deepEqual([...new Set(ends)], ['ended 0'], activated.log());
    t.regex(activated.log(), /ending: idle/);
  },
);

privileged('a grant, an open connection, and a ring that outlives both keep the daemon running', async (t) => {
  const activated = await startActivated(IDLE);
  t.teardown(() => activated.end());
  const hoarder = startAs(
    { uid: ALICE, socket: activated.socket, ulimit: '-l 0' },
    async ({ client, native, syntax }) => {
      const { openSync } = await import('node:fs');
      const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
      const connection = await client.connect();
      const [event] = syntax.parseEvents('cpu-clock:u');
      const grant = await connection.open({
        targets: [{ pid: process.pid, threads: 'leader' }],
        events: [{ ...event!, sampling: { frequency: 100 }, sampleType: ['ip' as const] }],
        ringBytes: 1024 * 1024,
      });
      const drain = native.createDrain(openSync('/dev/null', 'w'));
      drain.addRing(grant.events[0]!.fd, 256);
      await grant.mapped();
      await wait(2500);
      await connection.close();
      await wait(2500);
      drain.close();
      return 'unmapped';
    },
  );
  await sleep(5000);
  t.deepEqual(activated.events.length, 2, activated.events.join());
  t.is(await hoarder.result, 'unmapped');
  await activated.ended(1);
  t.is(activated.events[2], 'ended 0');
});

privileged(
  'a close that hangs keeps the daemon running: its process could not end, and no other would be started',
  async (t) => {
    if (!existsSync(PYTHON)) return skip(t, `${PYTHON} is missing`);
    const activated = await startActivated(IDLE);
    t.teardown(() => activated.end());
    // In the queue of a socket that is sent along with a call.
    const script = `
sender, receiver = lingering()
inner, outer = socket.socketpair()
socket.send_fds(inner, [b'x'], [sender.fileno()]); sender.close(); inner.close()
connection = socket.socket(socket.AF_UNIX); connection.connect(sys.argv[1])
socket.send_fds(connection, [b'{"method":"org.varlink.service.GetInfo"}\\0'], [outer.fileno()]); outer.close()
connection.recv(65536); connection.close()
print('sent', flush=True)
sys.stdin.read()
`;
    const attacker = await startLingering(script, activated.socket);
    t.teardown(() => attacker.kill('SIGKILL'));
    await sleep(3000);
    t.deepEqual(activated.events.length, 2, activated.events.join());
    attacker.kill('SIGKILL'); // the other end has gone: nothing is left to linger for
    await activated.ended(1);
    t.is(activated.events[2], 'ended 0');
  },
);

privileged('a reload changes when it ends, and a daemon that bound its socket itself never does', async (t) => {
  const activated = await startActivated(OPEN_POLICY);
  t.teardown(() => activated.end());
  const own = await startDaemon({ policy: IDLE, env: { LISTEN_FDS: '1' } });
  t.teardown(() => own.stop());
  await runAs({ uid: ALICE, socket: activated.socket }, async ({ client }) => (await client.connect()).close());
  await sleep(1500);
  t.is(activated.events.length, 2, 'the default is a minute');
  writeFileSync(activated.policyFile, IDLE);
  process.kill(Number(activated.events[1]!.split(' ')[1]), 'SIGHUP');
  await activated.ended(1);
  t.is(activated.events[2], 'ended 0');
  t.is(own.child.exitCode, null, own.log());
});
