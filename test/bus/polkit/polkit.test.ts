import { spawnSync } from 'node:child_process';
import { once, type EventEmitter } from 'node:events';
import { createInterface } from 'node:readline';
import test, { type ExecutionContext } from 'ava';
import dbus from 'dbus-next';
import type { PolkitOptions } from '#dist/bus/polkit/polkit.js';
import type { Subject } from '#dist/interfaces/authorizer_types.js';
import { skip } from '../../e2e/daemon.js';
import {
  ask,
  open,
  startAuthorizerProcess,
  unavailable,
  type AuthorizerProcess,
  type Outcome,
} from '../authorizer_support.js';
import {
  FAKE_POLKIT_POLICY,
  GLIB_POLKIT,
  startFakePolkit,
  UNREQUESTED_REPLIES_POLICY,
  type FakePolkit,
} from '../fake_polkit.js';
import { noPrivateBus, startPrivateBus, type PrivateBus } from '../private_bus.js';

const missing = noPrivateBus();
const SUBJECT: Subject = { uid: 60124, pid: 4_000_000, startTime: '18446744073709551615' };
const YES = [true, false, {}];

interface Fake {
  readonly bus: PrivateBus;
  readonly polkit: FakePolkit;
  readonly authorizer: AuthorizerProcess;
}

async function withFake(
  t: ExecutionContext,
  answer: Parameters<typeof startFakePolkit>[1],
  options: PolkitOptions = {},
  policies: readonly string[] = [],
): Promise<Fake> {
  const bus = await startPrivateBus(t, { polkit: false, policies: [FAKE_POLKIT_POLICY, ...policies] });
  const polkit = await startFakePolkit(bus, answer);
  return { bus, polkit, authorizer: await startAuthorizerProcess(bus, options) };
}

/** Answers every call that the authorizer may have made, with yes; resolves when the bus has seen all of it. */
async function forge(forger: dbus.MessageBus, { busName }: AuthorizerProcess): Promise<void> {
  for (let serial = 1; serial <= 50; serial++)
    forger.send(
      new dbus.Message({
        type: dbus.MessageType.METHOD_RETURN,
        destination: busName,
        replySerial: serial as unknown as string, // a number; dbus-next's declaration is wrong
        signature: '(bba{ss})',
        body: [YES],
      }),
    );
  const bus = 'org.freedesktop.DBus';
  await forger.call(
    new dbus.Message({ destination: bus, path: '/org/freedesktop/DBus', interface: bus, member: 'GetId' }),
  );
}

test('CheckAuthorization has polkit’s types to the letter, as another D-Bus library reads them', async (t) => {
  if (missing !== null) return skip(t, missing);
  const python = '/usr/bin/python3';
  if (spawnSync(python, ['-c', 'import gi']).status !== 0) return skip(t, 'python3-gi is not installed');
  const bus = await startPrivateBus(t, { polkit: false, policies: [FAKE_POLKIT_POLICY] });
  const polkit = bus.spawn([python, '-c', GLIB_POLKIT], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: polkit.stdout! })[Symbol.asyncIterator]();
  t.is((await lines.next()).value, 'ready');
  const { socket } = await startAuthorizerProcess(bus);
  const details = { target: 'process 12', events: 'cpu-clock:u', caller: 'perfbroker' };
  t.like(await ask(socket, { subject: SUBJECT, details, interactive: true }), { authorized: true });
  t.is(
    (await lines.next()).value,
    "((sa{sv})sa{ss}us) (('unix-process', {'pid': <uint32 4000000>, 'start-time': <uint64 18446744073709551615>, " +
      "'uid': <60124>}), 'org.perfbroker.sample-own', " +
      "{'target': 'process 12', 'events': 'cpu-clock:u', 'caller': 'perfbroker'}, uint32 1, 'perfbroker-1')",
  );
  const caller = await bus.connect();
  const busName = (caller as unknown as { name: string }).name;
  t.like(await ask(socket, { subject: { uid: 0, pid: 0, startTime: '', busName } }), { authorized: true });
  t.is(
    (await lines.next()).value,
    `((sa{sv})sa{ss}us) (('system-bus-name', {'name': <'${busName}'>}), 'org.perfbroker.sample-own', ` +
      "@a{ss} {}, uint32 0, 'perfbroker-2')",
  );
});

test('the decision counts, not that there was a reply', async (t) => {
  if (missing !== null) return skip(t, missing);
  let signature = '';
  let body: unknown[] = [];
  const { authorizer } = await withFake(t, (call) => dbus.Message.newMethodReturn(call, signature, body));
  const told = (newSignature: string, ...newBody: unknown[]): Promise<Outcome> => {
    [signature, body] = [newSignature, newBody];
    return ask(authorizer.socket, { subject: SUBJECT });
  };
  t.deepEqual(await told('(bba{ss})', YES), { authorized: true, challenge: false, dismissed: false });
  t.deepEqual(await told('(bba{ss})', [false, true, {}]), { authorized: false, challenge: true, dismissed: false });
  t.deepEqual(await told('(bba{ss})', [false, false, { 'polkit.dismissed': 'true' }]), {
    authorized: false,
    challenge: false,
    dismissed: true,
  });
  t.deepEqual(await told('(bba{ss})', [false, false, { 'polkit.dismissed': '' }]), {
    authorized: false,
    challenge: false,
    dismissed: false,
  });
  // Regardless of the other fields, yes is yes and never both.
  t.deepEqual(await told('(bba{ss})', [true, true, { 'polkit.dismissed': 'true' }]), {
    authorized: true,
    challenge: false,
    dismissed: false,
  });
  for (const [odd, ...values] of [
    ['b', true],
    ['bba{ss}', true, false, {}],
    ['(uba{ss})', [1, false, {}]],
    ['(sba{ss})', ['true', false, {}]],
    ['(bb)', [true, false]],
    ['(bba{ss})b', YES, true],
    ['(bba{sv})', [true, false, {}]],
    ['v', new dbus.Variant('(bba{ss})', YES)],
    [''],
  ] as const)
    t.regex(unavailable(await told(odd, ...values)), /polkit replied with \(/, odd);
});

test('a reply from another client than polkit is not an answer, and at most displaces the true one', async (t) => {
  if (missing !== null) return skip(t, missing);
  const { bus, polkit, authorizer } = await withFake(t, () => null, { deadlineMs: 20_000 }, [
    UNREQUESTED_REPLIES_POLICY,
  ]);
  const forger = await bus.connect();
  const question = open(authorizer.socket, { subject: SUBJECT });
  await polkit.called(1);
  await forge(forger, authorizer);
  const name = (forger as unknown as { name: string }).name;
  t.regex(unavailable(await question.outcome), new RegExp(`the reply came from ${name}, not from :`));
});

test('the bus itself keeps forged replies away', async (t) => {
  if (missing !== null) return skip(t, missing);
  let answer = (): void => undefined;
  const { bus, polkit, authorizer } = await withFake(
    t,
    (call) =>
      new Promise((resolve) => {
        answer = () => resolve(dbus.Message.newMethodReturn(call, '(bba{ss})', [[false, true, {}]]));
      }),
  );
  const question = open(authorizer.socket, { subject: SUBJECT });
  await polkit.called(1);
  await forge(await bus.connect(), authorizer);
  answer();
  t.deepEqual(await question.outcome, { authorized: false, challenge: true, dismissed: false });
});

test('a caller that leaves the bus gets no yes, even if polkit says yes', async (t) => {
  if (missing !== null) return skip(t, missing);
  let beforeAnswer = (): Promise<unknown> => Promise.resolve();
  const { bus, authorizer } = await withFake(t, async (call) => {
    await beforeAnswer();
    return dbus.Message.newMethodReturn(call, '(bba{ss})', [YES]);
  });
  const caller = (await bus.connect()) as dbus.MessageBus & {
    readonly name: string;
    readonly _connection: { readonly stream: EventEmitter };
  };
  const subject = { uid: 0, pid: 0, startTime: '', busName: caller.name };
  t.like(await ask(authorizer.socket, { subject }), { authorized: true });
  // polkit before 0.119 took a caller that was gone for root's (CVE-2021-3560).
  beforeAnswer = () => {
    const closed = once(caller._connection.stream, 'close'); // by the bus
    caller.disconnect();
    return closed;
  };
  t.regex(unavailable(await ask(authorizer.socket, { subject })), /GetConnectionUnixUser: .*NameHasNoOwner/);
});

test('without an answer within the deadline there is no authorization, and polkit is asked to cancel the question', async (t) => {
  if (missing !== null) return skip(t, missing);
  const { polkit, authorizer } = await withFake(t, () => null, { deadlineMs: 300 });
  // On a busy machine a question may be over before it gets as far as polkit, which then has nothing to forget.
  do t.regex(unavailable(await ask(authorizer.socket, { subject: SUBJECT })), /did not reply within 300 ms/);
  while (polkit.calls.length === 0);
  await polkit.called(2);
  const [asked, cancelled] = polkit.calls;
  t.is(asked?.member, 'CheckAuthorization');
  t.is(cancelled?.member, 'CancelCheckAuthorization');
  t.regex(String(asked?.body[4]), /^perfbroker-\d+$/);
  t.is(cancelled?.body[0], asked?.body[4]);
});

test('questions above the limit of one user or of all are refused, until others have ended', async (t) => {
  if (missing !== null) return skip(t, missing);
  const { polkit, authorizer } = await withFake(t, () => null, { deadlineMs: 60_000, perUser: 2, total: 3 });
  const questions = [60124, 60124, 60123].map((uid) => open(authorizer.socket, { subject: { ...SUBJECT, uid } }));
  await polkit.called(3);
  t.regex(
    unavailable(await ask(authorizer.socket, { subject: SUBJECT })),
    /2 of 2 authorization requests for uid 60124/,
  );
  const other = { ...SUBJECT, uid: 60999 };
  t.regex(unavailable(await ask(authorizer.socket, { subject: other })), /3 of 3 authorization requests are under way/);
  questions[0]?.takeBack();
  await polkit.called(4);
  const next = open(authorizer.socket, { subject: SUBJECT });
  await polkit.called(5);
  t.deepEqual(
    polkit.calls.map((call) => call.member),
    [
      'CheckAuthorization',
      'CheckAuthorization',
      'CheckAuthorization',
      'CancelCheckAuthorization',
      'CheckAuthorization',
    ],
  );
  for (const question of [...questions, next]) question.takeBack();
});

test('an error from polkit, of any name, is not an answer', async (t) => {
  if (missing !== null) return skip(t, missing);
  let name = '';
  const { authorizer } = await withFake(
    t,
    (call) =>
      new dbus.Message({
        type: dbus.MessageType.ERROR,
        errorName: name,
        destination: call.sender,
        replySerial: call.serial as unknown as string,
        signature: 's',
        body: ['a\ncause\u202e'],
      }),
    { deadlineMs: 2000 },
  );
  for (const each of ['org.freedesktop.PolicyKit1.Error.Failed', 'org.freedesktop.DBus.Error.NameHasNoOwner']) {
    name = each;
    t.regex(
      unavailable(await ask(authorizer.socket, { subject: SUBJECT })),
      new RegExp(`${each}: a\ufffdcause\ufffd$`),
    );
  }
});
