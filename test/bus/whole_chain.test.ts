/** A rule that asks, with none of the programs faked: perfbrokerd, perfbroker-bus, dbus-daemon, polkitd and an agent. */
import { chmodSync, chownSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import dbus from 'dbus-next';
import { native } from '#dist/native.js';
import { readableTree, startAs, type UserProcess } from '../e2e/as_user.js';
import { skip, startDaemon, type Daemon } from '../e2e/daemon.js';
import { startAgent, startTimeOf } from './authorizer_support.js';
import { noPrivateBus, startPrivateBus, USERS, type PrivateBus } from './private_bus.js';
import { listenTo } from '../tools/said.js';

const missing = noPrivateBus();
const ASK = `
[[rule]]
name = "ask"
verdict = "ask"
subjects = { everyone = true }
targets = { same_user = true }
classes = ["user"]
`;

/** perfbroker-bus with the socket passed as systemd does: the broker's directory is not its own. */
async function startFrontEnd(bus: PrivateBus, { directory, socket }: Daemon): Promise<void> {
  const path = join(directory, 'authorizer.sock');
  const listener = native.listenUnix(path, 8);
  chownSync(path, USERS.perfbroker, USERS.perfbroker);
  chmodSync(path, 0o600);
  const child = bus.spawn(
    [
      'sh',
      '-c',
      'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"',
      'sh',
      process.execPath,
      join(readableTree(), 'dist/bus/main.js'),
      '--socket',
      socket,
    ],
    { user: 'perfbroker-bus', stdio: ['ignore', 'ignore', 'pipe', listener] },
  );
  native.close(listener);
  await listenTo(child, 'stderr').match(/serving org\.perfbroker\.Broker1/);
}

interface Outcome {
  readonly fds?: number;
  readonly code?: string;
}

/** Opens a counter of itself, once `after` (a file) is there. */
function openOwn(uid: number, socket: string, allowInteractive: boolean, after = '/'): UserProcess<Outcome> {
  return startAs(
    { uid, socket },
    async ({ client, syntax }, interactive, file): Promise<Outcome> => {
      const { existsSync } = await import('node:fs');
      while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 10));
      const connection = await client.connect();
      try {
        const grant = await connection.open({
          targets: [{ pid: process.pid }],
          events: syntax.parseEvents('task-clock:u'),
          allowInteractive: interactive,
        });
        return { fds: grant.events.length };
      } catch (error) {
        return { code: (error as { code: string }).code };
      } finally {
        await connection.close();
      }
    },
    allowInteractive,
    after,
  );
}

test('a user whom polkit’s rules allow gets events, one who needs a dialog gets a dialog, and one without a dialog gets nothing', async (t) => {
  if (missing !== null) return skip(t, missing);
  const bus = await startPrivateBus(t, {
    actions: ['polkit/org.perfbroker.policy'],
    ruleFiles: ['polkit/49-perfbroker-group.rules.example'],
    policyFiles: ['dbus/org.perfbroker.Broker1.conf'],
  });
  const daemon = await startDaemon({ policy: ASK });
  t.teardown(() => daemon.stop());
  t.deepEqual(await openOwn(USERS.member, daemon.socket, true).result, { code: 'no-authorizer' });
  await startFrontEnd(bus, daemon);

  const allowed = await openOwn(USERS.member, daemon.socket, false).result;
  t.true(allowed.fds! >= 1, JSON.stringify(allowed));
  t.deepEqual(await openOwn(USERS.outsider, daemon.socket, false).result, { code: 'authorization-needed' });
  t.deepEqual(await openOwn(USERS.outsider, daemon.socket, true).result, { code: 'authorization-needed' });

  const [one, two] = [join(bus.directory, 'one'), join(bus.directory, 'two')];
  const asking = openOwn(USERS.outsider, daemon.socket, true, one);
  const pid = asking.child.pid!;
  const agent = await startAgent(bus, 'outsider', { uid: USERS.outsider, pid, startTime: startTimeOf(pid) });
  writeFileSync(one, '');
  const { text, cookie } = await agent.next();
  t.regex(
    text!,
    new RegExp(`^Authentication is required to let \\S+ \\(process ${pid}, uid 60124\\) count task-clock`),
  );
  const root = await bus.connect();
  await root.call(
    new dbus.Message({
      destination: 'org.freedesktop.PolicyKit1',
      path: '/org/freedesktop/PolicyKit1/Authority',
      interface: 'org.freedesktop.PolicyKit1.Authority',
      member: 'AuthenticationAgentResponse2',
      signature: 'us(sa{sv})',
      body: [USERS.outsider, cookie, ['unix-user', { uid: new dbus.Variant('u', 0) }]],
    }),
  );
  agent.say('done');
  const agreed = await asking.result;
  t.true(agreed.fds! >= 1, JSON.stringify(agreed));

  const dismissing = openOwn(USERS.outsider, daemon.socket, true, two);
  const other = dismissing.child.pid!;
  const second = await startAgent(bus, 'outsider', { uid: USERS.outsider, pid: other, startTime: startTimeOf(other) });
  writeFileSync(two, '');
  t.is((await second.next()).event, 'begin');
  second.say('dismiss');
  t.deepEqual(await dismissing.result, { code: 'dismissed' });

  await bus.stopPolkit('SIGKILL');
  t.deepEqual(await openOwn(USERS.member, daemon.socket, false).result, { code: 'no-authorizer' });
  const asked = daemon.audit().filter((entry) => entry['action'] === 'ask');
  t.deepEqual(
    asked.map((entry) => entry['answer']),
    ['unavailable', 'authorized', 'challenge', 'challenge', 'authorized', 'dismissed', 'unavailable'],
  );
});
