/** The whole way: a caller on the bus, the front end, polkit, a real perfbrokerd, and fds over the caller's own connection. */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { blocks, read } from '../docs/documents.js';
import { runAs, startAs } from '../e2e/as_user.js';
import { OPEN_POLICY, skip, startDaemon, type Daemon } from '../e2e/daemon.js';
import { startBusy } from '../e2e/target.js';
import { call, NAME, PATH, POLICY_FILES, startFrontEnd, type FrontEnd } from './front_end.js';
import { noPrivateBus, startPrivateBus, USERS, type Finished, type PrivateBus, type User } from './private_bus.js';

const reason = noPrivateBus();

const ASK_POLICY = `
[[rule]]
name = "own"
verdict = "ask"
subjects = { everyone = true }
targets = { same_user = true }
classes = ["user"]
`;

interface World {
  readonly bus: PrivateBus;
  readonly daemon: Daemon;
  readonly frontEnd: FrontEnd;
}

interface WorldOptions {
  readonly policy?: string;
  /** polkit's; without, there is no polkit. */
  readonly rules?: readonly string[];
}

function frontEndArguments(daemon: Daemon): readonly string[] {
  return ['--authorizer', join(daemon.directory, 'authorizer.sock')];
}

async function setUp(t: ExecutionContext, { policy = OPEN_POLICY, rules }: WorldOptions = {}): Promise<World> {
  const bus = await startPrivateBus(t, {
    policyFiles: POLICY_FILES,
    actions: ['polkit/org.perfbroker.policy'],
    polkit: rules !== undefined,
    ...(rules !== undefined && { rules }),
  });
  const daemon = await startDaemon({ policy });
  t.teardown(() => daemon.stop());
  chmodSync(daemon.directory, 0o777); // the front end binds beside the broker, as no systemd does it
  const frontEnd = await startFrontEnd(bus, { socket: daemon.socket, args: frontEndArguments(daemon) });
  return { bus, daemon, frontEnd };
}

function gdbus({ bus }: World, user: User, method: string, ...args: readonly string[]): Promise<Finished> {
  const call = ['gdbus', 'call', '--address', bus.address, '--timeout', '60', '-d', NAME, '-o', PATH, '-m', method];
  return bus.run([...call, ...args], { user });
}

function open(world: World, user: User, pid: number, options = '{}'): Promise<Finished> {
  return gdbus(
    world,
    user,
    `${NAME}.Open`,
    `[{'kind': <'process'>, 'pid': <${pid}>}]`,
    "[{'name': <'task-clock:u'>}]",
    options,
  );
}

function ticketOf({ stdout, stderr }: Finished): string {
  const ticket = /^\('(\w+)', uint32 \d+,/.exec(stdout)?.[1];
  if (ticket === undefined) throw new Error(`no ticket: ${stdout}${stderr}`);
  return ticket;
}

/** Redeems as a user. @returns nanoseconds, 20 ms when the events count at all */
function redeem({ daemon }: World, user: 'member' | 'outsider', ticket: string): Promise<number> {
  return runAs(
    { uid: USERS[user], socket: daemon.socket },
    async ({ client: { connect } }, code) => {
      const broker = await connect();
      const grant = await broker.redeem(code);
      for (const event of grant.events) event.enable();
      const total = (): number => grant.events.reduce((sum, event) => sum + Number(event.read()[0]), 0);
      const deadline = Date.now() + 10_000; // other tests are also running
      while (total() < 20e6 && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
      const counted = total();
      await broker.close();
      return counted;
    },
    ticket,
  );
}

test('a caller on the bus gets a ticket, and fds for it over its own connection', async (t) => {
  if (reason !== null) return skip(t, reason);
  const world = await setUp(t);
  const victim = await startBusy(USERS.member);
  t.teardown(() => victim.end());
  const opened = await open(world, 'member', victim.pid);
  t.regex(opened.stdout, /'verdict': <'allow'>/, opened.stderr);
  const ticket = ticketOf(opened);
  await t.throwsAsync(redeem(world, 'outsider', ticket), { message: /ticket/ });
  t.true((await redeem(world, 'member', ticketOf(await open(world, 'member', victim.pid)))) >= 20e6);

  const explained = await gdbus(
    world,
    'member',
    `${NAME}.Explain`,
    `[{'kind': <'process'>, 'pid': <${victim.pid}>}]`,
    "[{'name': <'cpu-clock:k'>}]",
    '{}',
  );
  t.regex(explained.stdout, /'verdict': <'deny'>/, explained.stderr);
});

test("another user's process is refused on the bus with the words of the socket", async (t) => {
  if (reason !== null) return skip(t, reason);
  const world = await setUp(t);
  const victim = await startBusy(USERS.outsider);
  t.teardown(() => victim.end());
  const refused = await open(world, 'member', victim.pid);
  t.is(refused.code, 1);
  t.regex(refused.stderr, /org\.perfbroker\.Broker1\.Error\.(PolicyDenied|CeilingExceeded)/);
  t.notRegex(refused.stderr, /\.js|node_modules/);
  const denied = world.daemon.audit().findLast(({ verdict }) => verdict === 'deny');
  t.like(denied, { action: 'open', subject: { uid: USERS.member } });
});

test('a rule that asks goes to polkit, for callers on the bus and on the socket', async (t) => {
  if (reason !== null) return skip(t, reason);
  const world = await setUp(t, {
    policy: ASK_POLICY,
    rules: [
      `polkit.addRule(function(action, subject) {
         if (action.id == "org.perfbroker.count-own") return subject.user == "member" ? "yes" : "no";
       });`,
    ],
  });
  const [mine, theirs] = await Promise.all([startBusy(USERS.member), startBusy(USERS.outsider)]);
  t.teardown(() => Promise.all([mine.end(), theirs.end()]));
  t.true((await redeem(world, 'member', ticketOf(await open(world, 'member', mine.pid)))) >= 20e6);
  const refused = await open(world, 'outsider', theirs.pid);
  t.regex(refused.stderr, /Error\.PolicyDenied/, refused.stdout);
  const onSocket = (uid: number, pid: number): Promise<string> =>
    runAs(
      { uid, socket: world.daemon.socket },
      async ({ client: { connect }, syntax: { parseEvents, withCounting } }, target) => {
        const broker = await connect();
        const request = { targets: [{ pid: target }], events: withCounting(parseEvents('task-clock:u')) };
        return broker.open(request).then(
          () => 'opened',
          (error: unknown) => (error as { error: string }).error,
        );
      },
      pid,
    );
  t.is(await onSocket(USERS.member, mine.pid), 'opened');
  t.is(await onSocket(USERS.outsider, theirs.pid), 'PolicyDenied');
});

test('a front end that is killed takes no grant with it, and the next one serves', async (t) => {
  if (reason !== null) return skip(t, reason);
  const world = await setUp(t);
  const victim = await startBusy(USERS.member);
  t.teardown(() => victim.end());
  const ticket = ticketOf(await open(world, 'member', victim.pid));
  const flag = join(world.daemon.directory, 'killed');
  const holder = startAs(
    { uid: USERS.member, socket: world.daemon.socket },
    async ({ client: { connect } }, code, file) => {
      const { existsSync: exists, writeFileSync: write } = await import('node:fs');
      const broker = await connect();
      const grant = await broker.redeem(code);
      for (const event of grant.events) event.enable();
      write(`${file}.holding`, '');
      while (!exists(file)) await new Promise((resolve) => setTimeout(resolve, 10));
      const value = (): number => grant.events.reduce((sum, event) => sum + Number(event.read()[0]), 0);
      const before = value();
      const deadline = Date.now() + 10_000;
      while (value() < before + 20e6 && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
      const counted = value() - before;
      await broker.close();
      return counted;
    },
    ticket,
    flag,
  );
  while (!existsSync(`${flag}.holding`)) await new Promise((resolve) => setTimeout(resolve, 10));
  const managed = 'org.freedesktop.DBus.ObjectManager.GetManagedObjects';
  t.regex((await gdbus(world, 'member', managed)).stdout, /grants\/[0-9a-f]{24}'.*'Fds': <uint32 1>/);
  t.notRegex((await gdbus(world, 'outsider', managed)).stdout, /grants\//);
  t.regex((await gdbus(world, 'root', managed)).stdout, /'Uid': <uint32 60123>/);
  t.deepEqual(await world.frontEnd.stop('SIGKILL'), { code: null, signal: 'SIGKILL' });
  const next = await startFrontEnd(world.bus, { socket: world.daemon.socket, args: frontEndArguments(world.daemon) });
  const root = await world.bus.connect();
  const signals: string[] = [];
  root.on('message', ({ member, body }) => {
    if (member === 'GrantRemoved') signals.push(String((body as unknown[])[2]));
  });
  await call(root, 'Ping', '', [], { interface: 'org.freedesktop.DBus.Peer' });
  await call(root, 'GetManagedObjects', '', [], { interface: 'org.freedesktop.DBus.ObjectManager' });
  writeFileSync(flag, '');
  t.true((await holder.result) >= 20e6);
  while (signals.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  t.deepEqual(signals, ['connection']);
  t.is(next.child.exitCode, null);
  t.is(world.daemon.child.exitCode, null);
  ticketOf(await open(world, 'member', victim.pid));
});

test('the examples of docs/dbus.md work as they stand there', async (t) => {
  if (reason !== null) return skip(t, reason);
  const world = await setUp(t);
  const victim = await startBusy(USERS.member);
  t.teardown(() => victim.end());
  const document = read('docs/dbus.md');
  const env = { PID: String(victim.pid), PERFBROKER_SOCKET: world.daemon.socket };
  for (const block of blocks(document, 'sh')) {
    const run = await world.bus.run(['sh', '-ec', block], { user: 'member', env });
    t.is(run.code, 0, `${block}${run.stderr}`);
    t.not(run.stdout, '');
  }
  const python = ['/usr/bin/python3', '-c', 'import socket; socket.recv_fds; from gi.repository import Gio'];
  if (spawnSync(python[0]!, python.slice(1)).status !== 0) return t.log('skipped: no python3 with python3-gi');
  const program = join(world.daemon.directory, 'client.py');
  writeFileSync(program, blocks(document, 'python')[0] ?? '');
  const counted = await world.bus.run(['/usr/bin/python3', program, String(victim.pid), '0.3'], {
    user: 'member',
    env,
  });
  const [, nanoseconds] = /^task-clock (\d+) ns, allowed by own\n$/.exec(counted.stdout) ?? [];
  t.true(Number(nanoseconds) > 1e6 && Number(nanoseconds) < 2e9, counted.stdout + counted.stderr);
  const refused = await world.bus.run(['/usr/bin/python3', program, '1', '0.3'], { user: 'member', env });
  t.is(refused.code, 1);
  t.regex(refused.stderr, /PolicyDenied|CeilingExceeded/);
});
