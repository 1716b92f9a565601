/** Hostile messages from strangers on the bus: the front end goes on unharmed. */
import { chownSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import dbus from 'dbus-next';
import { native } from '#dist/native.js';
import { readableTree } from '../e2e/as_user.js';
import { skip } from '../e2e/daemon.js';
import { ask, type Outcome } from './authorizer_support.js';
import { ALLOWED, startFakeBroker, type FakeBroker } from './fake_broker.js';
import {
  call,
  NAME,
  PATH,
  POLICY_FILES,
  request,
  residentMiB,
  startFrontEnd,
  uniqueName,
  v,
  type FrontEnd,
} from './front_end.js';
import { FAKE_POLKIT_POLICY, startFakePolkit, UNREQUESTED_REPLIES_POLICY } from './fake_polkit.js';
import { noPrivateBus, startPrivateBus, USERS, type PrivateBus } from './private_bus.js';
import { RawClient, type RawMessage, type RawReply } from './raw_client.js';
import { fdsBackTo, settledFds } from '../tools/fds_of.js';

const reason = noPrivateBus();

interface World {
  readonly bus: PrivateBus;
  readonly broker: FakeBroker;
  readonly frontEnd: FrontEnd;
  readonly pid: number;
  readonly raw: RawClient;
  /** Another client, which is still served. */
  readonly other: dbus.MessageBus;
}

async function setUp(t: ExecutionContext, policies: readonly string[] = []): Promise<World> {
  const bus = await startPrivateBus(t, { policyFiles: POLICY_FILES, policies, polkit: false });
  const broker = startFakeBroker(bus.directory);
  t.teardown(() => broker.close());
  const frontEnd = await startFrontEnd(bus, { socket: broker.socket });
  const raw = await RawClient.connect(bus.path);
  t.teardown(() => raw.close());
  return { bus, broker, frontEnd, pid: frontEnd.child.pid!, raw, other: await bus.connect() };
}

const EXPLAIN: RawMessage = { path: PATH, interface: NAME, member: 'Explain', destination: NAME };
const STACK = /\bat \S+:\d+|node_modules|\.js\b|dbus_next|\n {2,}at /;

/** Log of an internal error, which no client has caused: at level error, with its stack. */
const INTERNAL = /^<3>|Error:|\bat \S+ \(/m;

/** The front end answers, with the same process and nothing said about its inside. */
async function unharmed(
  t: ExecutionContext,
  { frontEnd, other }: World,
  ...replies: (RawReply | null)[]
): Promise<void> {
  const [version] = await call(other, 'Get', 'ss', [NAME, 'Version'], { interface: 'org.freedesktop.DBus.Properties' });
  t.is((version as dbus.Variant).value, '9.9');
  t.is(frontEnd.child.exitCode, null);
  for (const reply of replies) t.notRegex(JSON.stringify(reply), STACK);
  t.notRegex(frontEnd.log(), INTERNAL);
}

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};

test('a message of signature h without an fd is answered with an error and does no harm', async (t) => {
  if (reason !== null) return skip(t, reason);
  const world = await setUp(t);
  const replies: (RawReply | null)[] = [];
  for (const [signature, body] of [
    ['h', u32(0)],
    ['h', u32(5)],
    ['ah', Buffer.concat([u32(4), u32(0xffffffff)])],
    ['v', Buffer.from([1, 0x68, 0, 0, 7, 0, 0, 0])],
  ] as const) {
    const reply = await world.raw.ask({ ...EXPLAIN, signature, body });
    t.is(reply?.errorName, 'org.freedesktop.DBus.Error.InvalidArgs', signature);
    replies.push(reply);
  }
  await unharmed(t, world, ...replies);
});

test('an fd index in an unknown header field does no harm', async (t) => {
  if (reason !== null) return skip(t, reason);
  const world = await setUp(t);
  // dbus-daemon 1.14 passes unknown fields on.
  await world.raw.send(world.raw.pack({ ...EXPLAIN, extra: [[99, 'h', 3]] }).bytes);
  await world.raw.send(world.raw.pack({ ...EXPLAIN, extra: [[99, 's', 'x'.repeat(200_000)]] }).bytes);
  const reply = await world.raw.ask({ ...EXPLAIN, extra: [[99, 's', 'x']] });
  t.is(reply?.errorName, 'org.freedesktop.DBus.Error.InvalidArgs');
  await unharmed(t, world, reply);
});

test('messages with fds are not delivered to the front end, one by one or pipelined', async (t) => {
  if (reason !== null) return skip(t, reason);
  const world = await setUp(t);
  await unharmed(t, world);
  await world.raw.ask(EXPLAIN);
  const before = await settledFds(world.pid);
  const fd = openSync('/dev/null', 'r');
  t.teardown(() => native.close(fd));
  const withFd: RawMessage = { ...EXPLAIN, signature: 'h', body: u32(0), unixFds: 1 };
  const replies: (RawReply | null)[] = [];
  for (let round = 0; round < 20; round++) replies.push(await world.raw.ask(withFd, [fd]));
  const pipelined = [world.raw.pack(withFd), world.raw.pack(withFd), world.raw.pack(EXPLAIN)];
  await world.raw.send(Buffer.concat(pipelined.map(({ bytes }) => bytes)), [fd, fd]);
  await world.raw.until(() =>
    pipelined.every(({ serial }) => world.raw.replies.some(({ replySerial }) => replySerial === serial)),
  );
  for (const reply of replies) {
    t.is(reply?.sender, 'org.freedesktop.DBus');
    t.is(reply?.errorName, 'org.freedesktop.DBus.Error.NotSupported');
  }
  await unharmed(t, world, ...replies);
  await fdsBackTo(world.pid, before);
});

test('a message of 20 MiB is skipped, refused and costs no memory', async (t) => {
  if (reason !== null) return skip(t, reason);
  const world = await setUp(t);
  await unharmed(t, world);
  const before = residentMiB(world.pid);
  // An array of empty variants of bytes: as many objects as bytes would make.
  const inner = Buffer.alloc(20 * 1024 * 1024);
  for (let at = 0; at + 4 <= inner.length; at += 4) inner.set([1, 0x79, 0, 7], at);
  const reply = await world.raw.ask({ ...EXPLAIN, signature: 'av', body: Buffer.concat([u32(inner.length), inner]) });
  t.is(reply?.errorName, 'org.freedesktop.DBus.Error.LimitsExceeded');
  const many = Buffer.alloc(60 * 1024);
  for (let at = 0; at + 4 <= many.length; at += 4) many.set([1, 0x79, 0, 7], at);
  const unpacked = await world.raw.ask({ ...EXPLAIN, signature: 'av', body: Buffer.concat([u32(many.length), many]) });
  t.is(unpacked?.errorName, 'org.freedesktop.DBus.Error.InvalidArgs');
  await unharmed(t, world, reply, unpacked);
  t.true(residentMiB(world.pid) < before + 80, `${before} -> ${residentMiB(world.pid)} MiB`);
});

test('many connections that send the most they may at once cost no more memory than a few', async (t) => {
  if (reason !== null) return skip(t, reason);
  const world = await setUp(t);
  await unharmed(t, world);
  const before = residentMiB(world.pid);
  const clients = await Promise.all(Array.from({ length: 200 }, () => RawClient.connect(world.bus.path)));
  t.teardown(() => clients.forEach((client) => client.close()));
  const inner = Buffer.alloc(64 * 1024 - 4);
  for (let at = 0; at + 4 <= inner.length; at += 4) inner.set([1, 0x79, 0, 7], at);
  const body = Buffer.concat([u32(inner.length), inner]);
  // All of them are there before the first is known to the front end.
  world.frontEnd.child.kill('SIGSTOP');
  const sent = clients.map((client) => client.pack({ ...EXPLAIN, signature: 'av', body }));
  await Promise.all(clients.map((client, index) => client.send(sent[index]!.bytes)));
  world.frontEnd.child.kill('SIGCONT');
  const of = (client: RawClient, index: number): RawReply | undefined =>
    client.replies.find(({ replySerial }) => replySerial === sent[index]!.serial);
  await world.raw.until(() => clients.every((client, index) => of(client, index) !== undefined));
  for (const [index, client] of clients.entries()) t.regex(of(client, index)?.errorName ?? '', /InvalidArgs|LimitsEx/);
  const most = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${world.pid}/status`, 'latin1'))?.[1]) / 1024;
  t.true(most < before + 60, `${before} -> ${most} MiB`);
  await unharmed(t, world);
});

test('a user who calls without end is refused, and others are still served', async (t) => {
  if (reason !== null) return skip(t, reason);
  const world = await setUp(t);
  const program = `
    const dbus = require(process.argv[1]);
    const bus = dbus.sessionBus({ busAddress: 'unix:socket=' + process.argv[2] });
    const introspect = () => bus.call(new dbus.Message({
      destination: '${NAME}', path: '${PATH}', interface: 'org.freedesktop.DBus.Introspectable', member: 'Introspect',
    }));
    setTimeout(() => process.exit(), 300_000);
    bus.on('connect', async () => {
      let bytes = 0;
      try {
        for (let round = 0; round < 400; round++)
          for (const { body } of await Promise.all(Array.from({ length: 8 }, introspect))) bytes += body[0].length;
        console.log(bytes, 'no end');
        process.exit();
      } catch (error) {
        console.log(bytes, error.text);
        process.exit();
      }
    });`;
  const library = `${readableTree()}/node_modules/dbus-next`;
  const start = performance.now();
  const { stdout } = await world.bus.run([process.execPath, '-e', program, library, world.bus.path], {
    user: 'member',
  });
  const seconds = (performance.now() - start) / 1000;
  const [, bytes, text] = /^(\d+) (.*)/.exec(stdout) ?? [];
  t.is(text, `uid ${USERS.member} calls too often; try again later`);
  const MiB = Number(bytes) / 1024 / 1024;
  t.true(MiB > 4 && MiB < 9 + seconds / 4, `${MiB} MiB in ${seconds} s`);
  await unharmed(t, world);
});

interface AskingWorld {
  readonly bus: PrivateBus;
  /** The connection over which polkit is asked. */
  readonly asker: string;
  readonly ask: () => Promise<Outcome>;
}

/** The front end with a polkit that says yes, and was asked once. */
async function setUpAsking(t: ExecutionContext): Promise<AskingWorld> {
  const bus = await startPrivateBus(t, { policyFiles: POLICY_FILES, policies: [FAKE_POLKIT_POLICY], polkit: false });
  const polkit = await startFakePolkit(bus, (asked) =>
    dbus.Message.newMethodReturn(asked, '(bba{ss})', [[true, false, {}]]),
  );
  const directory = join(bus.directory, 'front-end');
  mkdirSync(directory);
  chownSync(directory, USERS['perfbroker-bus'], USERS['perfbroker-bus']);
  const socket = join(directory, 'authorizer.sock');
  await startFrontEnd(bus, { socket: '/nowhere', args: ['--authorizer', socket] });
  const subject = { uid: USERS.member, pid: process.pid, startTime: '1' };
  t.like(await ask(socket, { subject }), { authorized: true });
  return { bus, asker: polkit.calls[0]!.sender, ask: () => ask(socket, { subject }) };
}

test("strangers' signals, which the bus lets any client send, do not keep polkit from answering", async (t) => {
  if (reason !== null) return skip(t, reason);
  const world = await setUpAsking(t);
  const raw = await RawClient.connect(world.bus.path);
  t.teardown(() => raw.close());
  const inner = Buffer.alloc(16 * 1024);
  for (let at = 0; at < inner.length; at += 4) inner.set([1, 0x79, 0, 7], at);
  const signal = { type: 4, path: '/a', interface: 'a.b', member: 'C', signature: 'av' };
  // A minute's work, if they were unpacked.
  for (const destination of [world.asker, NAME])
    for (let count = 0; count < 1000; count++)
      await raw.send(raw.pack({ ...signal, destination, body: Buffer.concat([u32(inner.length), inner]) }).bytes);
  t.like(await world.ask(), { authorized: true });
});

test('polkit is asked over a connection of its own, because callers could block the one that answers them', async (t) => {
  if (reason !== null) return skip(t, reason);
  const { bus, asker } = await setUpAsking(t);
  const askBus = async (member: string, name: string): Promise<unknown> => {
    const from = 'org.freedesktop.DBus';
    const message = {
      destination: from,
      path: '/org/freedesktop/DBus',
      interface: from,
      member,
      signature: 's',
      body: [name],
    };
    return (await (await bus.connect()).call(new dbus.Message(message)))?.body[0];
  };
  t.not(asker, await askBus('GetNameOwner', NAME));
  t.is(await askBus('GetConnectionUnixUser', asker), USERS['perfbroker-bus']); // as polkit's owner annotation has it
});

/** A message as a machine of the other byte order sends it. */
class BigEndian {
  bytes: Buffer = Buffer.alloc(0);
  align(to: number): this {
    return this.add(Buffer.alloc((to - (this.bytes.length % to)) % to));
  }
  add(...more: readonly Buffer[]): this {
    this.bytes = Buffer.concat([this.bytes, ...more]);
    return this;
  }
  u32(value: number): this {
    this.align(4).bytes = Buffer.concat([this.bytes, u32(value).reverse()]);
    return this;
  }
  string(text: string): this {
    return this.u32(text.length).add(Buffer.from(`${text}\0`));
  }
  signature(text: string): this {
    return this.add(Buffer.from([text.length]), Buffer.from(`${text}\0`));
  }
  /** @param alignment of the elements */
  array(alignment: number, fill: () => unknown): this {
    this.u32(0);
    const at = this.bytes.length - 4;
    this.align(alignment);
    const start = this.bytes.length;
    fill();
    this.bytes.writeUInt32BE(this.bytes.length - start, at);
    return this;
  }
  entry(key: string, signature: string): this {
    return this.align(8).string(key).signature(signature);
  }
}

test('a message of the other byte order has the same numbers', async (t) => {
  if (reason !== null) return skip(t, reason);
  const world = await setUp(t);
  const body = new BigEndian();
  const pid = Buffer.alloc(8);
  pid.writeBigInt64BE(77n);
  body.array(4, () =>
    body.array(8, () => {
      body.entry('kind', 's').string('process');
      body.entry('pid', 'x').align(8).add(pid);
    }),
  );
  body.array(4, () => body.array(8, () => body.entry('name', 's').string('task-clock:u')));
  body.array(8, () => {});
  const message = new BigEndian().add(Buffer.from([0x42, 1, 0, 1]));
  message.u32(body.bytes.length).u32(77);
  message.array(8, () => {
    for (const [code, signature, text] of [
      [1, 'o', PATH],
      [2, 's', NAME],
      [3, 's', 'Explain'],
      [6, 's', NAME],
    ] as const)
      message
        .align(8)
        .add(Buffer.from([code]))
        .signature(signature)
        .string(text);
    message
      .align(8)
      .add(Buffer.from([8]))
      .signature('g')
      .signature('aa{sv}aa{sv}a{sv}');
  });
  await world.raw.send(message.align(8).add(body.bytes).bytes);
  await world.raw.until(() => world.raw.replies.some(({ replySerial }) => replySerial === 77));
  t.is(world.raw.replies.find(({ replySerial }) => replySerial === 77)?.type, 2);
  t.deepEqual(world.broker.calls.find(({ method }) => method === 'Explain')?.parameters['targets'], [
    { kind: 'process', pid: 77 },
  ]);
  await unharmed(t, world);
});

test('deep nesting, odd signatures and values are errors of the call', async (t) => {
  if (reason !== null) return skip(t, reason);
  const world = await setUp(t);
  const deep = (levels: number): Buffer =>
    Buffer.concat([...Array<Buffer>(levels).fill(Buffer.from([1, 0x76, 0])), Buffer.from([1, 0x79, 0, 1])]);
  const replies: (RawReply | null)[] = [];
  for (const message of [
    { ...EXPLAIN, signature: 'v', body: deep(60) },
    { ...EXPLAIN, signature: 'a{sv}aa{sv}as', body: Buffer.alloc(16) },
    { ...EXPLAIN, member: 'constructor' },
    { ...EXPLAIN, member: 'toString', interface: 'org.perfbroker.Grant1' },
    {
      ...EXPLAIN,
      path: '/org/perfbroker/Broker1/grants/__proto__',
      interface: 'org.perfbroker.Grant1',
      member: 'Revoke',
    },
    { ...EXPLAIN, path: '/constructor', interface: 'org.freedesktop.DBus.Introspectable', member: 'Introspect' },
    {
      ...EXPLAIN,
      interface: 'org.freedesktop.DBus.Properties',
      member: 'GetAll',
      signature: 's',
      body: Buffer.concat([u32(9), Buffer.from('__proto__\0')]),
    },
    { ...EXPLAIN, interface: 'org.freedesktop.DBus.Peer', member: 'Explode' },
  ]) {
    const reply = await world.raw.ask(message);
    t.is(reply?.type, 3, JSON.stringify(message));
    t.regex(reply?.errorName ?? '', /^org\.freedesktop\.DBus\.Error\./);
    replies.push(reply);
  }
  for (const body of [deep(70), Buffer.from([1, 0x73, 0, 0, 2, 0, 0, 0, 0xff, 0xff, 0])]) {
    // Not valid: the bus hangs up on the sender.
    const bad = await RawClient.connect(world.bus.path);
    t.is(await bad.ask({ ...EXPLAIN, signature: 'v', body }), null);
    bad.close();
  }
  await unharmed(t, world, ...replies);
});

test('a key named like the prototype of every object is refused', async (t) => {
  if (reason !== null) return skip(t, reason);
  const world = await setUp(t);
  const options = Object.fromEntries([['__proto__', v('a{sv}', { ringBytes: v('u', 1) })]]);
  const error = await t.throwsAsync(
    call(world.other, 'Explain', 'aa{sv}aa{sv}a{sv}', [...request(1).slice(0, 2), options]),
  );
  t.is((error as dbus.DBusError).type, 'org.freedesktop.DBus.Error.InvalidArgs');
  await unharmed(t, world);
});

test('replies that answer nothing and signals addressed to the front end are ignored', async (t) => {
  if (reason !== null) return skip(t, reason);
  const world = await setUp(t);
  for (let serial = 1; serial < 200; serial++) {
    await world.raw.send(
      world.raw.pack({
        type: 2,
        destination: NAME,
        replySerial: serial,
        signature: 's',
        body: Buffer.concat([u32(1), Buffer.from('x\0')]),
      }).bytes,
    );
    await world.raw.send(world.raw.pack({ type: 3, destination: NAME, replySerial: serial, errorName: 'a.b' }).bytes);
    await world.raw.send(
      world.raw.pack({
        type: 4,
        destination: NAME,
        path: '/org/freedesktop/DBus',
        interface: 'org.freedesktop.DBus',
        member: 'NameOwnerChanged',
      }).bytes,
    );
  }
  await unharmed(t, world);
});

test('only the bus itself can report that a caller has left', async (t) => {
  if (reason !== null) return skip(t, reason);
  const world = await setUp(t);
  let asked = 0;
  let answer = (): void => {};
  world.broker.handlers['PrepareOpen'] = async (_, reply) => {
    asked += 1;
    await new Promise<void>((resolve) => (answer = resolve));
    reply.reply({ ticket: 'T1', expiresSeconds: 30, decision: ALLOWED });
  };
  const question = call(world.other, 'Open', 'aa{sv}aa{sv}a{sv}', request(1));
  await world.raw.until(() => asked === 1);
  const name = uniqueName(world.other);
  const string = (text: string): Buffer => {
    const padded = Buffer.alloc(Math.ceil((text.length + 1) / 4) * 4);
    padded.write(text);
    return Buffer.concat([u32(text.length), padded]);
  };
  const forged = world.raw.pack({
    type: 4,
    destination: NAME,
    path: '/org/freedesktop/DBus',
    interface: 'org.freedesktop.DBus',
    member: 'NameOwnerChanged',
    signature: 'sss',
    body: Buffer.concat([string(name), string(name), u32(0), Buffer.from([0])]),
  });
  await world.raw.send(forged.bytes);
  await world.raw.ask({ ...EXPLAIN, interface: 'org.freedesktop.DBus.Peer', member: 'Ping' }); // it was read
  answer();
  t.is((await question)[0], 'T1');
  await unharmed(t, world);
});

test('a client that answers in place of the bus cannot change the identity of a caller', async (t) => {
  if (reason !== null) return skip(t, reason);
  const world = await setUp(t, [UNREQUESTED_REPLIES_POLICY]);
  // A call of a new client. Behind it, before the bus can answer, come replies to every call that the front end may make now.
  world.frontEnd.child.kill('SIGSTOP');
  const forger = await world.bus.connect();
  const caller = await world.bus.connect();
  const outcome = t.throwsAsync<dbus.DBusError>(call(caller, 'Explain', 'aa{sv}aa{sv}a{sv}', request(1)));
  const ping = {
    destination: 'org.freedesktop.DBus',
    path: '/org/freedesktop/DBus',
    interface: 'org.freedesktop.DBus',
  };
  await caller.call(new dbus.Message({ ...ping, member: 'GetId' }));
  for (let round = 0; round < 60; round++)
    for (let serial = 2; serial < 30; serial++)
      forger.send(
        new dbus.Message({
          type: dbus.MessageType.METHOD_RETURN,
          destination: NAME,
          replySerial: serial as unknown as string, // a number; dbus-next's declaration is wrong
          signature: 'u',
          body: [USERS.member],
        }),
      );
  await forger.call(new dbus.Message({ ...ping, member: 'GetId' }));
  world.frontEnd.child.kill('SIGCONT');
  t.is((await outcome).type, 'org.freedesktop.DBus.Error.Failed');
  await world.frontEnd.logged(/another connection replied to GetConnectionUnix/);
  t.false(world.broker.calls.some(({ method }) => method === 'Explain'));
});

test('a call that expects no reply gets none, not even an error', async (t) => {
  if (reason !== null) return skip(t, reason);
  const world = await setUp(t);
  const silent = [
    { ...EXPLAIN, flags: 1 },
    { ...EXPLAIN, flags: 1, signature: 'h', body: u32(0) },
    { ...EXPLAIN, flags: 1, interface: 'org.freedesktop.DBus.Peer', member: 'Ping' },
  ].map((message) => world.raw.pack(message));
  for (const { bytes } of silent) await world.raw.send(bytes);
  t.is((await world.raw.ask({ ...EXPLAIN, interface: 'org.freedesktop.DBus.Peer', member: 'Ping' }))?.type, 2);
  await unharmed(t, world);
  for (const { serial } of silent) t.false(world.raw.replies.some(({ replySerial }) => replySerial === serial));
});

test('a storm of calls ends at the limit of its sender, and others are served meanwhile', async (t) => {
  if (reason !== null) return skip(t, reason);
  const world = await setUp(t);
  await unharmed(t, world);
  const before = { fds: await settledFds(world.pid), memory: residentMiB(world.pid) };
  // Every question hangs: the broker waits for a human.
  world.broker.handlers['PrepareOpen'] = () => new Promise(() => {});
  const storm = await world.bus.connect();
  const refused: Promise<string>[] = [];
  for (let count = 0; count < 3000; count++)
    refused.push(
      call(storm, 'Open', 'aa{sv}aa{sv}a{sv}', request(1)).then(
        () => 'answered',
        (error: unknown) => (error as dbus.DBusError).type,
      ),
    );
  let limited = 0;
  for (const each of refused)
    void each.then((name) => (limited += name === 'org.freedesktop.DBus.Error.LimitsExceeded' ? 1 : 0));
  await unharmed(t, world);
  await world.raw.until(() => limited === 3000 - 8);
  t.is(world.broker.connections, 8 + 1); // questions, and the watch
  storm.disconnect();
  // Its questions are taken back, and it is forgotten.
  await fdsBackTo(world.pid, before.fds);
  t.true(residentMiB(world.pid) < before.memory + 60);
});

test('1,000 calls and as many odd ones leave no fd behind', async (t) => {
  if (reason !== null) return skip(t, reason);
  const world = await setUp(t);
  await unharmed(t, world);
  await world.raw.ask({ ...EXPLAIN, signature: 'h', body: u32(0) });
  await world.raw.ask(EXPLAIN);
  const before = await settledFds(world.pid);
  for (let round = 0; round < 250; round++)
    await Promise.all([
      ...[1, 2, 3, 4].map(() => call(world.other, 'Explain', 'aa{sv}aa{sv}a{sv}', request(process.pid))),
      ...[1, 2].map(() => world.raw.ask({ ...EXPLAIN, signature: 'h', body: u32(0) })),
      ...[1, 2].map(() => world.raw.ask(EXPLAIN)),
    ]);
  await fdsBackTo(world.pid, before);
});

test('callers that come, call and vanish are forgotten', async (t) => {
  if (reason !== null) return skip(t, reason);
  const world = await setUp(t);
  await unharmed(t, world);
  const before = await settledFds(world.pid);
  for (let round = 0; round < 100; round++) {
    const client = await RawClient.connect(world.bus.path);
    const { bytes } = client.pack({
      ...EXPLAIN,
      interface: 'org.freedesktop.DBus.Properties',
      member: 'GetAll',
      signature: 's',
      body: Buffer.concat([u32(0), Buffer.from('\0')]),
    });
    await client.send(bytes);
    if (round % 2 === 0) await client.until(() => client.replies.length > 1);
    client.close();
  }
  await fdsBackTo(world.pid, before);
  await unharmed(t, world);
});
