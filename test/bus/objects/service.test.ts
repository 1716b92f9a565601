/** org.perfbroker.Broker1 as callers see it, over a real bus; the broker behind it is a stand-in. */
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import dbus from 'dbus-next';
import { Service, type ServiceDependencies } from '#dist/bus/objects/service.js';
import type { IncomingCall } from '#dist/bus/transport/transport.js';
import { native } from '#dist/native.js';
import { readableTree } from '../../e2e/as_user.js';
import { skip } from '../../e2e/daemon.js';
import { ask } from '../authorizer_support.js';
import { ALLOWED, grantOf, startFakeBroker, type FakeBroker } from '../fake_broker.js';
import {
  call,
  launchFrontEnd,
  NAME,
  PATH,
  POLICY_FILES,
  request,
  startFrontEnd,
  uniqueName,
  v,
  type CallOptions,
  type FrontEnd,
} from '../front_end.js';
import { FAKE_POLKIT_POLICY, startFakePolkit } from '../fake_polkit.js';
import { noPrivateBus, startPrivateBus, USERS, type Finished, type PrivateBus, type User } from '../private_bus.js';
import { fdsBackTo, openFds, settledFds } from '../../tools/fds_of.js';

const reason = noPrivateBus();

interface World {
  readonly bus: PrivateBus;
  readonly broker: FakeBroker;
  readonly frontEnd: FrontEnd;
  /** Root's. */
  readonly caller: dbus.MessageBus;
}

async function setUp(t: ExecutionContext, args: readonly string[] = []): Promise<World> {
  const bus = await startPrivateBus(t, { policyFiles: POLICY_FILES, polkit: false });
  const broker = startFakeBroker(bus.directory);
  t.teardown(() => broker.close());
  const frontEnd = await startFrontEnd(bus, { socket: broker.socket, args });
  return { bus, broker, frontEnd, caller: await bus.connect() };
}

test('Open becomes PrepareOpen for the caller that the bus names, and answers with a ticket', async (t) => {
  if (reason !== null) return skip(t, reason);
  const { broker, caller } = await setUp(t);
  const [ticket, seconds, decision] = await call(caller, 'Open', 'aa{sv}aa{sv}a{sv}', request(process.pid));
  t.is(ticket, 'T1');
  t.is(seconds, 30);
  t.is((decision as Record<string, dbus.Variant>)['verdict']?.value, ALLOWED.verdict);
  const sent = broker.calls.find(({ method }) => method === 'PrepareOpen')?.parameters;
  t.like(sent, {
    targets: [{ kind: 'process', pid: process.pid }],
    allowInteractive: false,
    sender: { uid: 0, pidfd: 0, busName: uniqueName(caller) },
  });
});

const PROPERTIES: CallOptions = { interface: 'org.freedesktop.DBus.Properties' };
const grantPath = (id: string): string => `${PATH}/grants/${id}`;

/** gdbus under another user. */
function gdbus(
  { bus }: World,
  user: User,
  path: string,
  method: string,
  ...args: readonly string[]
): Promise<Finished> {
  return bus.run(['gdbus', 'call', '--address', bus.address, '-d', NAME, '-o', path, '-m', method, ...args], { user });
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 15_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('waited for 15 s');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test('options and typed events go to the broker as its interface has them', async (t) => {
  if (reason !== null) return skip(t, reason);
  const { broker, caller } = await setUp(t);
  const events = [
    {
      source: v('a{sv}', { kind: v('s', 'raw'), config: v('t', 0xffff_ffff_ffff_ffffn) }),
      exclude: v('as', ['kernel']),
    },
    { name: v('s', 'cpu-clock:u'), frequency: v('q', 999), callchain: v('b', true) },
  ];
  const options = {
    cpus: v('au', [0, 1]),
    ringBytes: v('x', 65536n),
    ringSlots: v('s', 'cpu'),
    downgrade: v('a{sv}', { drop: v('as', ['all']), noNewPrivs: v('b', true) }),
  };
  await call(caller, 'Open', 'aa{sv}aa{sv}a{sv}', [request(1)[0], events, options], { flags: 4 });
  const sent = broker.calls.find(({ method }) => method === 'PrepareOpen')!.parameters;
  t.like(sent, {
    cpus: [0, 1],
    ringBytes: 65536,
    ringSlots: 'cpu',
    downgrade: { drop: ['all'], noNewPrivs: true },
    allowInteractive: true, // the flag of the message
  });
  const [raw, clock] = sent['events'] as Record<string, unknown>[];
  t.deepEqual(raw, { source: { kind: 'raw', config: '18446744073709551615' }, exclude: ['kernel'] });
  t.like(clock, { source: { kind: 'software', name: 'cpu-clock' }, sampling: { frequency: 999 } });
  t.true((clock!['sampleType'] as string[]).includes('callchain'));
  await call(
    caller,
    'Explain',
    'aa{sv}aa{sv}a{sv}',
    [request(1)[0], request(1)[1], { allowInteractive: v('b', false) }],
    {
      flags: 4,
    },
  );
  t.false(broker.calls.find(({ method }) => method === 'Explain')!.parameters['allowInteractive']);
});

test('Downgrade becomes PrepareDowngrade, Revoke becomes Revoke', async (t) => {
  if (reason !== null) return skip(t, reason);
  const { broker, caller } = await setUp(t);
  const [target] = request(4242)[0];
  t.deepEqual(
    (await call(caller, 'Downgrade', 'a{sv}asa{sv}', [target, ['CAP_PERFMON'], { dryRun: v('b', true) }])).slice(0, 2),
    ['T2', 30],
  );
  t.like(broker.calls.find(({ method }) => method === 'PrepareDowngrade')!.parameters, {
    target: { kind: 'process', pid: 4242 },
    drop: ['CAP_PERFMON'],
    dryRun: true,
  });
  t.deepEqual(await call(caller, 'Revoke', 'sa{sv}', ['aa00', {}]), [2, 1, 'the fds']);
});

test('a parameter that callers may not set is refused before the broker receives it', async (t) => {
  if (reason !== null) return skip(t, reason);
  const { broker, caller } = await setUp(t);
  const [targets, events] = request(1);
  const refused = async (body: unknown[], pattern: RegExp, signature = 'aa{sv}aa{sv}a{sv}'): Promise<void> => {
    const error = await t.throwsAsync<dbus.DBusError>(call(caller, 'Open', signature, body));
    t.is(error.type, 'org.freedesktop.DBus.Error.InvalidArgs', error.message);
    t.regex(error.message, pattern);
  };
  await refused([targets, events, { sender: v('a{sv}', { uid: v('u', 0) }) }], /sender is not an option/);
  await refused([targets, events, { targets: v('as', []) }], /targets is not an option/);
  await refused([targets, events, { ringBites: v('u', 1) }], /ringBites/);
  await refused([targets, events, { ringBytes: v('s', 'x') }], /ringBytes/);
  await refused([[{ kind: v('s', 'process'), pidfd: v('u', 0) }], events, {}], /pidfd: fds are not accepted/);
  await refused([targets, [{ name: v('s', 'cpu-clock'), color: v('s', 'red') }], {}], /events\[0\]\.color/);
  await refused([targets, [{ name: v('s', 'cpu-clock'), frequency: v('i', -1) }], {}], /events\[0\]\.frequency/);
  await refused([targets, events, { cpus: v('au', Array(10_001).fill(1)) }], /more than 10000 values/);
  await refused([targets, events], /takes \(aa\{sv\}aa\{sv\}a\{sv\}\)/, 'aa{sv}aa{sv}');
  const misspelled = await t.throwsAsync<dbus.DBusError>(
    call(caller, 'Open', 'aa{sv}aa{sv}a{sv}', [targets, [{ name: v('s', 'cpu-clok') }], {}]),
  );
  t.is(misspelled.type, 'org.perfbroker.Broker1.Error.InvalidEvent');
  t.regex(misspelled.message, /cpu-clock/);
  t.deepEqual(
    broker.calls.filter(({ method }) => method === 'PrepareOpen'),
    [],
  );
});

test("the broker's errors keep their name, code, cause and remedy", async (t) => {
  if (reason !== null) return skip(t, reason);
  const { broker, caller } = await setUp(t);
  broker.handlers['PrepareOpen'] = (_, reply) =>
    void reply.error('PolicyDenied', {
      code: 'no-rule',
      message: 'no rule allows it',
      errno: 0,
      cause: 'The policy.',
      remedy: 'Ask root.',
      reasons: [{ code: 'x', text: 'not in group perfbroker' }],
    });
  const error = await t.throwsAsync<dbus.DBusError>(call(caller, 'Open', 'aa{sv}aa{sv}a{sv}', request(1)));
  t.is(error.type, 'org.perfbroker.Broker1.Error.PolicyDenied');
  t.is(error.message, 'no rule allows it (no-rule)\nThe policy.\nAsk root.\nnot in group perfbroker');
});

test('properties come from the broker, cannot be written, and unknown ones are errors', async (t) => {
  if (reason !== null) return skip(t, reason);
  const { broker, caller } = await setUp(t);
  broker.grants = [grantOf(0), grantOf(1234, 'bb')];
  const [all] = await call(caller, 'GetAll', 's', [NAME], PROPERTIES);
  const plain = Object.fromEntries(
    Object.entries(all as Record<string, dbus.Variant>).map(([name, { signature, value }]) => [
      name,
      [signature, value as unknown],
    ]),
  );
  t.deepEqual(plain, {
    Version: ['s', '9.9'],
    Kernel: ['s', '6.12.0'],
    Paranoid: ['i', 3],
    Capability: ['s', 'CAP_PERFMON'],
    Ceiling: ['as', ['user']],
    PolicySources: ['as', ['/etc/perfbroker/policy.toml']],
    MaxSampleRate: ['u', 100000],
    Tracepoints: ['u', 7],
    Grants: ['u', 2],
  });
  t.deepEqual(await call(caller, 'GetAll', 's', [''], PROPERTIES), [all]);
  t.deepEqual(await call(caller, 'GetAll', 's', ['org.freedesktop.DBus.Peer'], PROPERTIES), [{}]);
  for (const [member, signature, body, name] of [
    ['Set', 'ssv', [NAME, 'Version', v('s', 'x')], 'PropertyReadOnly'],
    ['Set', 'ssv', [NAME, 'Colour', v('s', 'x')], 'UnknownProperty'],
    ['Get', 'ss', [NAME, 'Colour'], 'UnknownProperty'],
    ['Get', 'ss', ['a.b', 'Version'], 'UnknownInterface'],
    ['Get', 's', [NAME], 'InvalidArgs'],
    ['Take', '', [], 'UnknownMethod'],
  ] as [string, string, unknown[], string][]) {
    const error = await t.throwsAsync<dbus.DBusError>(call(caller, member, signature, body, PROPERTIES));
    t.is(error.type, `org.freedesktop.DBus.Error.${name}`);
  }
  // What the broker answered is kept for a moment. On a busy machine the moment can be over before the second call.
  const describes = (): number => broker.calls.filter(({ method }) => method === 'Describe').length;
  let asked = 2;
  for (let tries = 0; tries < 50 && asked > 1; tries++) {
    const before = describes();
    for (let calls = 0; calls < 2; calls++) await call(caller, 'GetAll', 's', [NAME], PROPERTIES);
    asked = describes() - before;
  }
  t.true(asked <= 1, `${asked} calls for two`);
});

test('grants are visible to their user and to root; to any other user they do not exist', async (t) => {
  if (reason !== null) return skip(t, reason);
  const world = await setUp(t);
  world.broker.grants = [grantOf(USERS.member, 'aa'), grantOf(USERS.outsider, 'bb')];
  const managed = 'org.freedesktop.DBus.ObjectManager.GetManagedObjects';
  const introspect = 'org.freedesktop.DBus.Introspectable.Introspect';
  const getAll = 'org.freedesktop.DBus.Properties.GetAll';
  const own = await gdbus(world, 'member', PATH, managed);
  t.regex(own.stdout, /grants\/aa'/);
  t.notRegex(own.stdout, /grants\/bb/);
  const nodes = await gdbus(world, 'member', `${PATH}/grants`, introspect);
  t.regex(nodes.stdout, /<node name="aa"\/>/);
  t.notRegex(nodes.stdout, /"bb"/);
  t.regex(
    (await gdbus(world, 'member', grantPath('aa'), getAll, 'org.perfbroker.Grant1')).stdout,
    /'Pid': <uint32 4242>/,
  );
  t.regex((await gdbus(world, 'member', PATH, getAll, NAME)).stdout, /'Grants': <uint32 1>/);
  for (const [method, ...args] of [
    [getAll, 'org.perfbroker.Grant1'],
    [introspect],
    ['org.perfbroker.Grant1.Revoke', '{}'],
  ] as [string, ...string[]][]) {
    const hidden = await gdbus(world, 'member', grantPath('bb'), method, ...args);
    const missing = await gdbus(world, 'member', grantPath('cc'), method, ...args);
    t.is(hidden.code, 1);
    t.regex(hidden.stderr, /UnknownObject/);
    t.is(hidden.stderr.replaceAll('/bb', '/cc'), missing.stderr);
  }
  t.false(world.broker.calls.some(({ method }) => method === 'Revoke'));
  t.regex(
    (await gdbus(world, 'member', grantPath('aa'), 'org.perfbroker.Grant1.Revoke', '{}')).stdout,
    /uint32 2, uint32 1/,
  );
  const [all] = await call(world.caller, 'GetManagedObjects', '', [], {
    interface: 'org.freedesktop.DBus.ObjectManager',
  });
  t.deepEqual(Object.keys(all as object), [grantPath('aa'), grantPath('bb')]);
});

test('a grant that a broken broker lists for the wrong user is not shown', async (t) => {
  if (reason !== null) return skip(t, reason);
  const world = await setUp(t);
  world.broker.handlers['ListGrants'] = (_, reply) => void reply.reply({ grants: [grantOf(USERS.outsider, 'bb')] });
  const { stdout } = await gdbus(world, 'member', PATH, 'org.freedesktop.DBus.ObjectManager.GetManagedObjects');
  t.is(stdout.trim(), '({},)'.replace('{}', '@a{oa{sa{sv}}} {}'));
});

test('root that is not an administrator to the broker sees only its own grants', async (t) => {
  if (reason !== null) return skip(t, reason);
  const { broker, caller } = await setUp(t);
  broker.grants = [grantOf(0, 'aa'), grantOf(USERS.member, 'bb')];
  const list = broker.handlers['ListGrants']!;
  broker.handlers['ListGrants'] = (asked, reply) =>
    asked.parameters['all'] === true
      ? void reply.error('PolicyDenied', {
          code: 'not-administrator',
          message: '',
          errno: 0,
          cause: '',
          remedy: '',
          reasons: [],
        })
      : list(asked, reply);
  const [all] = await call(caller, 'GetManagedObjects', '', [], {
    interface: 'org.freedesktop.DBus.ObjectManager',
  });
  t.deepEqual(Object.keys(all as object), [grantPath('aa')]);
  const seen: string[] = [];
  caller.on('message', ({ type, member, body }) => {
    if (type === dbus.MessageType.SIGNAL && member === 'GrantAdded') seen.push(String((body as unknown[])[1]));
  });
  broker.announce('added', grantOf(USERS.member, 'cc'));
  broker.announce('added', grantOf(0, 'dd'));
  await until(() => seen.length > 0);
  await call(caller, 'Explain', 'aa{sv}aa{sv}a{sv}', request(1));
  t.deepEqual(seen, ['dd']);
});

test('signals about a grant reach only callers that have called and may see it', async (t) => {
  if (reason !== null) return skip(t, reason);
  const world = await setUp(t);
  const seen: string[] = [];
  const listen = (bus: dbus.MessageBus, who: string): void => {
    bus.on('message', (message) => {
      if (message.type === dbus.MessageType.SIGNAL && message.path === PATH) seen.push(`${who} ${message.member}`);
    });
  };
  const silent = await world.bus.connect(); // root, and has never called
  await silent.call(
    new dbus.Message({
      destination: 'org.freedesktop.DBus',
      path: '/org/freedesktop/DBus',
      interface: 'org.freedesktop.DBus',
      member: 'AddMatch',
      signature: 's',
      body: [`type='signal',path='${PATH}'`],
    }),
  );
  listen(silent, 'silent');
  listen(world.caller, 'root');
  await call(world.caller, 'Explain', 'aa{sv}aa{sv}a{sv}', request(1));
  const callers = (['member', 'outsider'] as const).map((user) => ({ user, ...startListener(world, user) }));
  await until(() => callers.every(({ output }) => output().includes('called')));
  world.broker.announce('added', grantOf(USERS.member, 'aa'));
  world.broker.announce('removed', grantOf(USERS.member, 'aa'), 'lease');
  const [member, outsider] = callers;
  await until(() => seen.length >= 4 && member!.output().includes('InterfacesRemoved'));
  t.deepEqual(seen, ['root InterfacesAdded', 'root GrantAdded', 'root GrantRemoved', 'root InterfacesRemoved']);
  t.deepEqual(member!.output().trim().split('\n'), [
    'called',
    'InterfacesAdded',
    'GrantAdded',
    'GrantRemoved',
    'InterfacesRemoved',
  ]);
  t.is(outsider!.output(), 'called\n');
});

/** A program of another user that calls once and prints the signals it gets. */
function startListener({ bus }: World, user: User): { readonly output: () => string } {
  const program = `
    const dbus = require(process.argv[1]);
    const bus = dbus.sessionBus({ busAddress: 'unix:socket=' + process.argv[2] });
    bus.on('message', ({ type, path, member }) => { if (type === 4 && path === '${PATH}') console.log(member); });
    bus.on('connect', () =>
      bus.call(new dbus.Message({
        destination: '${NAME}', path: '${PATH}', interface: 'org.freedesktop.DBus.Introspectable', member: 'Introspect',
      })).then(() => console.log('called')));`;
  const library = `${readableTree()}/node_modules/dbus-next`;
  const child = bus.spawn([process.execPath, '-e', program, library, bus.path], {
    user,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  return { output: () => output };
}

test('when the broker goes away its grants end, calls fail with a clear error, and a new broker is found', async (t) => {
  if (reason !== null) return skip(t, reason);
  const { bus, broker, caller, frontEnd } = await setUp(t);
  await call(caller, 'Explain', 'aa{sv}aa{sv}a{sv}', request(1));
  await until(() => broker.connections === 1);
  broker.announce('added', grantOf(0, 'aa'));
  const removed: unknown[] = [];
  caller.on('message', (message) => {
    if (message.member === 'GrantRemoved') removed.push((message.body as unknown[])[2]);
  });
  broker.close();
  await until(() => removed.length === 1);
  t.deepEqual(removed, ['shutdown']);
  const error = await t.throwsAsync<dbus.DBusError>(call(caller, 'Explain', 'aa{sv}aa{sv}a{sv}', request(1)));
  t.is(error.type, 'org.perfbroker.Broker1.Error.Unavailable');
  t.regex(error.message, /the broker is not running/);
  unlinkSync(broker.socket);
  const second = startFakeBroker(bus.directory);
  t.teardown(() => second.close());
  await call(caller, 'Explain', 'aa{sv}aa{sv}a{sv}', request(1));
  t.is(second.calls.filter(({ method }) => method === 'Explain').length, 1);
  t.is(frontEnd.child.exitCode, null);
});

test("arguments that grow beyond the broker's message limit are refused before the broker sees them", async (t) => {
  if (reason !== null) return skip(t, reason);
  const world = await setUp(t);
  // Each becomes six characters of JSON.
  const error = await t.throwsAsync(call(world.caller, 'Revoke', 'sa{sv}', ['\u0001'.repeat(60_000), {}]), {
    instanceOf: dbus.DBusError,
  });
  t.is(error.type, 'org.freedesktop.DBus.Error.LimitsExceeded');
  t.false(world.broker.calls.some(({ method }) => method === 'Revoke'));
});

test('the question of a caller that vanishes is withdrawn', async (t) => {
  if (reason !== null) return skip(t, reason);
  const world = await setUp(t);
  await call(world.caller, 'Explain', 'aa{sv}aa{sv}a{sv}', request(1));
  const before = await settledFds(world.frontEnd.child.pid!);
  let asked = 0;
  world.broker.handlers['PrepareOpen'] = () => new Promise(() => void (asked += 1));
  const asking = world.bus.spawn(
    [
      'gdbus',
      'call',
      '--address',
      world.bus.address,
      '-d',
      NAME,
      '-o',
      PATH,
      '-m',
      `${NAME}.Open`,
      "[{'kind': <'process'>, 'pid': <1>}]",
      "[{'name': <'task-clock'>}]",
      "{'allowInteractive': <true>}",
    ],
    { user: 'member', stdio: 'ignore' },
  );
  await until(() => asked === 1);
  t.true(openFds(world.frontEnd.child.pid!) > before);
  const ended = once(asking, 'exit');
  asking.kill('SIGKILL');
  await ended;
  // Its connection to the broker and its pidfd.
  await fdsBackTo(world.frontEnd.child.pid!, before);
  t.is(world.frontEnd.child.exitCode, null);
});

test('the bus gives the name to no other user, and delivers only calls of the interfaces', async (t) => {
  if (reason !== null) return skip(t, reason);
  const world = await setUp(t);
  const own = [
    'gdbus',
    'call',
    '--address',
    world.bus.address,
    '-d',
    'org.freedesktop.DBus',
    '-o',
    '/',
    '-m',
    'org.freedesktop.DBus.RequestName',
  ];
  for (const user of ['member', 'perfbroker', 'root'] as const) {
    const taken = await world.bus.run([...own, NAME, '0'], { user });
    t.regex(taken.stderr, /AccessDenied/, user);
  }
  const odd = await gdbus(world, 'member', PATH, 'org.example.Odd.Method');
  t.regex(odd.stderr, /AccessDenied/);
  t.regex((await gdbus(world, 'member', PATH, 'org.freedesktop.DBus.Peer.Ping')).stdout, /\(\)/);
  t.regex((await gdbus(world, 'member', PATH, 'org.freedesktop.DBus.Peer.GetMachineId')).stdout, /[0-9a-f]{32}/);
});

test('a second front end finds the name taken and ends', async (t) => {
  if (reason !== null) return skip(t, reason);
  const { bus, broker } = await setUp(t);
  const second = launchFrontEnd(bus, { socket: broker.socket });
  t.is((await second.exit).code, 1);
  t.regex(second.log(), /another process owns the name/);
});

test('the front end does not start with a privilege, nor as root', async (t) => {
  if (reason !== null) return skip(t, reason);
  const bus = await startPrivateBus(t, { policyFiles: POLICY_FILES, polkit: false });
  const asRoot = launchFrontEnd(bus, { socket: '/nowhere', user: 'root' });
  t.is((await asRoot.exit).code, 4);
  t.regex(asRoot.log(), /has a privilege: CapPrm is/);
  const program = `${readableTree()}/dist/bus/main.js`;
  const ambient = ['setpriv', '--reuid=60913', '--regid=60913', '--clear-groups', '--inh-caps=+sys_nice'];
  const capable = await bus.run([...ambient, '--ambient-caps=+sys_nice', process.execPath, program]);
  t.is(capable.code, 4);
  t.regex(capable.stderr, /has a privilege: CapEff is 0+800000/);
});

test('the front end ends when idle, after it releases the name, and not while a grant lives', async (t) => {
  if (reason !== null) return skip(t, reason);
  const { broker, caller, frontEnd } = await setUp(t, ['--idle-exit', '6']);
  await call(caller, 'Explain', 'aa{sv}aa{sv}a{sv}', request(1));
  await until(() => broker.connections === 1);
  broker.announce('added', grantOf(0, 'aa'));
  await new Promise((resolve) => setTimeout(resolve, 7500));
  t.is(frontEnd.child.exitCode, null);
  broker.announce('removed', grantOf(0, 'aa'), 'connection');
  t.deepEqual(await frontEnd.exit, { code: 0, signal: null });
});

test('a question to polkit is answered before the front end ends, and a later one goes to the next process', async (t) => {
  if (reason !== null) return skip(t, reason);
  const bus = await startPrivateBus(t, { policyFiles: POLICY_FILES, policies: [FAKE_POLKIT_POLICY], polkit: false });
  let answer = (): void => {};
  const polkit = await startFakePolkit(bus, async (asked) => {
    await new Promise<void>((resolve) => (answer = resolve));
    return dbus.Message.newMethodReturn(asked, '(bba{ss})', [[true, false, {}]]);
  });
  const socket = join(bus.directory, 'authorizer.sock');
  const listener = native.listenUnix(socket, 8);
  t.teardown(() => native.close(listener));
  const subject = { uid: USERS.member, pid: process.pid, startTime: '1' };
  const first = await startFrontEnd(bus, { socket: '/nowhere', listener });
  const early = ask(socket, { subject });
  await polkit.called(1);
  first.child.kill('SIGTERM');
  await first.logged(/ending: SIGTERM/);
  const late = ask(socket, { subject });
  await new Promise((resolve) => setTimeout(resolve, 300));
  t.is(first.child.exitCode, null);
  t.is(polkit.calls.length, 1);
  answer();
  t.like(await early, { authorized: true });
  t.deepEqual(await first.exit, { code: 0, signal: null });
  await startFrontEnd(bus, { socket: '/nowhere', listener });
  await polkit.called(2);
  answer();
  t.like(await late, { authorized: true });
});

test('a signal ends the front end cleanly, a lost bus with an error', async (t) => {
  if (reason !== null) return skip(t, reason);
  const first = await setUp(t);
  t.deepEqual(await first.frontEnd.stop(), { code: 0, signal: null });
  const second = await startFrontEnd(first.bus, { socket: first.broker.socket });
  process.kill(first.bus.daemonPid, 'SIGKILL');
  t.deepEqual(await second.exit, { code: 1, signal: null });
  t.regex(second.log(), /the bus is gone: /);
});

function nameHasOwner(name: string): dbus.Message {
  return new dbus.Message({
    destination: 'org.freedesktop.DBus',
    path: '/org/freedesktop/DBus',
    interface: 'org.freedesktop.DBus',
    member: 'NameHasOwner',
    signature: 's',
    body: [name],
  });
}

test('a service that the bus starts by itself loses no call when it ends for idleness and is started again', async (t) => {
  if (reason !== null) return skip(t, reason);
  const program = `${readableTree()}/dist/bus/main.js`;
  const identity = '--reuid=60913 --regid=60913 --clear-groups --inh-caps=-all --no-new-privs';
  const socket = join(mkdtempSync(join(tmpdir(), 'perfbroker-bus-')), 'broker.sock');
  t.teardown(() => rmSync(dirname(socket), { recursive: true }));
  chmodSync(dirname(socket), 0o755);
  const bus = await startPrivateBus(t, {
    policyFiles: POLICY_FILES,
    polkit: false,
    services: {
      [NAME]: `[D-BUS Service]\nName=${NAME}\nUser=root\nExec=/usr/bin/setpriv ${identity} ${process.execPath} ${program} --socket ${socket} --idle-exit 1\n`,
    },
  });
  const broker = startFakeBroker(dirname(socket));
  t.teardown(() => broker.close());
  const caller = await bus.connect();
  const isOwned = async (): Promise<boolean> => (await caller.call(nameHasOwner(NAME)))?.body[0] === true;
  for (const pause of [0, 980, 1000, 1010, 1020, 1040, null]) {
    if (pause === null) while (await isOwned()) await new Promise((resolve) => setTimeout(resolve, 20));
    else await new Promise((resolve) => setTimeout(resolve, pause));
    const answers = await Promise.all([1, 2, 3].map(() => call(caller, 'Explain', 'aa{sv}aa{sv}a{sv}', request(1))));
    t.is(answers.length, 3);
  }
  t.is(broker.calls.filter(({ method }) => method === 'Explain').length, 21);
  t.true(broker.calls.filter(({ method }) => method === 'WatchGrants').length > 1, 'it was started again');
});

test('an answer whose values do not fit becomes an error, so that the caller does not wait', async (t) => {
  const sent: dbus.Message[] = [];
  const logged: string[] = [];
  const send = (message: dbus.Message): void => {
    if (message.type === dbus.MessageType.METHOD_RETURN) throw new TypeError('secret');
    sent.push(message);
  };
  const connection: { bus: object; onCall: (call: IncomingCall) => void } = { bus: { send }, onCall: () => {} };
  new Service({
    connection,
    callers: {
      run: (_name: string, _bytes: number, body: (caller: object) => unknown) => body({}),
      mayReceive: () => true,
    },
    log: { error: (text: string) => logged.push(text) },
    onCall: () => {},
  } as unknown as ServiceDependencies);
  const names = { path: '/', interface: 'org.freedesktop.DBus.Peer', member: 'Ping', sender: ':1.1', serial: 7 };
  connection.onCall({ message: new dbus.Message(names), bytes: 0, body: () => [] });
  await new Promise((resolve) => setImmediate(resolve));
  t.is(sent.length, 1);
  t.like(sent[0], { errorName: 'org.freedesktop.DBus.Error.Failed', destination: ':1.1', replySerial: 7 });
  t.notRegex(String((sent[0]!.body as unknown[])[0]), /secret/);
  t.regex(logged.join('\n'), /^Ping of :1\.1: TypeError: secret/);
});
