import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import dbus from 'dbus-next';
import { ACTIONS } from '#dist/bus/polkit/polkit.js';
import { native } from '#dist/native.js';
import { skip } from '../../e2e/daemon.js';
import { ask, open, startAgent, startAuthorizerProcess, startSubject, unavailable } from '../authorizer_support.js';
import { noPrivateBus, startPrivateBus, USERS, type PrivateBus } from '../private_bus.js';
import { fdsBackTo, settledFds } from '../../tools/fds_of.js';

const missing = noPrivateBus();
const POLICY = ['polkit/org.perfbroker.policy'];
const EXAMPLE = 'polkit/49-perfbroker-group.rules.example';
const YES = { authorized: true, challenge: false, dismissed: false };
const NO = { authorized: false, challenge: false, dismissed: false };
const CHALLENGE = { authorized: false, challenge: true, dismissed: false };
const DISMISSED = { authorized: false, challenge: false, dismissed: true };
/** Every subject may sample, none may downgrade. */
const RULES = `
polkit.addRule(function (action, subject) {
  if (action.id == "org.perfbroker.sample-own") return polkit.Result.YES;
  if (action.id == "org.perfbroker.downgrade") return polkit.Result.NO;
});`;

/** Does the same as setuid polkit-agent-helper-1 after PAM has accepted root's password: only root may. */
async function authenticate(bus: PrivateBus, uid: number, cookie: string): Promise<void> {
  const connection = await bus.connect();
  await connection.call(
    new dbus.Message({
      destination: 'org.freedesktop.PolicyKit1',
      path: '/org/freedesktop/PolicyKit1/Authority',
      interface: 'org.freedesktop.PolicyKit1.Authority',
      member: 'AuthenticationAgentResponse2',
      signature: 'us(sa{sv})',
      body: [uid, cookie, ['unix-user', { uid: new dbus.Variant('u', 0) }]],
    }),
  );
}

test('every action of the code is in the policy file, and the reverse, also as polkit reads it', async (t) => {
  const text = readFileSync(new URL('../../../../polkit/org.perfbroker.policy', import.meta.url), 'utf8');
  const declared = [...text.matchAll(/<action id="([^"]+)">/g)].map(([, id]) => id!).sort();
  t.deepEqual(declared, [...ACTIONS].sort());
  if (missing !== null) return skip(t, missing);
  const bus = await startPrivateBus(t, { actions: POLICY });
  const all = await bus.run(['pkaction']);
  t.deepEqual(
    all.stdout
      .split('\n')
      .filter((line) => line.startsWith('org.perfbroker.'))
      .sort(),
    declared,
  );
  const verbose = await bus.run(['pkaction', '--verbose', '--action-id', 'org.perfbroker.sample-own']);
  t.regex(verbose.stdout, /implicit any: +auth_admin\n\s+implicit inactive: +auth_admin\n\s+implicit active: +yes/);
  t.regex(verbose.stdout, /policykit\.owner -> unix-user:perfbroker-bus/);
  const authority = ['-d', 'org.freedesktop.PolicyKit1', '-o', '/org/freedesktop/PolicyKit1/Authority'];
  const enumerate = ['-m', 'org.freedesktop.PolicyKit1.Authority.EnumerateActions'];
  for (const [locale, words] of [
    ['de_DE.UTF-8', 'Den Kernel beobachten'],
    ['fr_FR.UTF-8', 'Observer le noyau'],
    ['en_US.UTF-8', 'Observe the kernel'],
  ] as const) {
    const actions = await bus.run(['gdbus', 'call', '--address', bus.address, ...authority, ...enumerate, locale]);
    t.true(actions.stdout.includes(`('org.perfbroker.kernel', '${words}', `), actions.stdout + actions.stderr);
  }
});

test('with the example rules members of profilers get a yes, and others the default of the action', async (t) => {
  if (missing !== null) return skip(t, missing);
  const bus = await startPrivateBus(t, { actions: POLICY, ruleFiles: [EXAMPLE] });
  const { socket } = await startAuthorizerProcess(bus);
  const member = await startSubject(bus, 'member');
  const outsider = await startSubject(bus, 'outsider');
  for (const action of ['org.perfbroker.count-own', 'org.perfbroker.sample-own'])
    t.deepEqual(await ask(socket, { subject: member, action }), YES, action);
  t.deepEqual(await ask(socket, { subject: member, action: 'org.perfbroker.kernel' }), CHALLENGE);
  t.deepEqual(await ask(socket, { subject: member, action: 'org.perfbroker.system-wide' }), CHALLENGE);
  // A subject without a session (ssh without logind, a service) is "any" to polkit: each action requires an administrator.
  for (const action of ACTIONS) t.deepEqual(await ask(socket, { subject: outsider, action }), CHALLENGE, action);
  // Without an agent polkit has no user to ask, even when the request is interactive.
  t.deepEqual(await ask(socket, { subject: outsider, interactive: true }), CHALLENGE);
});

test('the broker gets the yes or no of a rule', async (t) => {
  if (missing !== null) return skip(t, missing);
  const bus = await startPrivateBus(t, { actions: POLICY, rules: [RULES] });
  const { socket } = await startAuthorizerProcess(bus);
  const subject = await startSubject(bus, 'outsider');
  t.deepEqual(await ask(socket, { subject, action: 'org.perfbroker.sample-own' }), YES);
  t.deepEqual(await ask(socket, { subject, action: 'org.perfbroker.downgrade' }), NO);
  // A caller on the bus is its bus name, and must be of the uid that the question names.
  const connection = await bus.connect();
  const busName = (connection as unknown as { name: string }).name;
  t.deepEqual(await ask(socket, { subject: { uid: 0, pid: 0, startTime: '', busName } }), YES);
  t.regex(
    unavailable(await ask(socket, { subject: { uid: 60123, pid: 0, startTime: '', busName } })),
    /belongs to uid 0, not to uid 60123/,
  );
  t.regex(
    unavailable(await ask(socket, { subject: { uid: 0, pid: 0, startTime: '', busName: ':1.4711' } })),
    /NameHasNoOwner/,
  );
});

test('polkit decides for the uid and the process that the question names', async (t) => {
  if (missing !== null) return skip(t, missing);
  const rule = `polkit.addRule(function (action, subject) { return subject.user == "member" ? "yes" : undefined; });`;
  const bus = await startPrivateBus(t, { actions: POLICY, rules: [rule] });
  const { socket } = await startAuthorizerProcess(bus);
  const subject = await startSubject(bus, 'outsider');
  // The uid that the client connected with counts, and not the one that its process has by now: polkit relies on its
  // caller to know that uid. A uid of another type would be ignored, and the process looked up.
  t.deepEqual(await ask(socket, { subject }), CHALLENGE);
  t.deepEqual(await ask(socket, { subject: { ...subject, uid: USERS.member } }), YES);
  // A later process with the same pid is another one.
  const startTime = String(BigInt(subject.startTime) + 1n);
  t.regex(unavailable(await ask(socket, { subject: { ...subject, uid: USERS.member, startTime } })), /replaced/);
});

test('questions that polkit would misread never reach it', async (t) => {
  if (missing !== null) return skip(t, missing);
  const bus = await startPrivateBus(t, { actions: POLICY, rules: [RULES] });
  const { socket } = await startAuthorizerProcess(bus);
  const subject = await startSubject(bus, 'outsider');
  const refused = { error: 'InvalidParameter', message: 'subject' };
  for (const startTime of ['0', '', '-1', '1e3', '0x10', '99999999999999999999'])
    t.deepEqual(await ask(socket, { subject: { ...subject, startTime } }), refused, startTime);
  for (const pid of [0, -1, 2 ** 31])
    t.deepEqual(await ask(socket, { subject: { ...subject, pid } }), refused, `${pid}`);
  // polkit's uid is an int32; -1 means to it that the caller gave none.
  for (const uid of [-1, 2 ** 31, 2 ** 32 - 1])
    t.deepEqual(await ask(socket, { subject: { ...subject, uid } }), refused, `${uid}`);
  for (const busName of ['', 'org.freedesktop.DBus', ':1.1x', ':1'])
    t.deepEqual(await ask(socket, { subject: { ...subject, busName } }), refused, busName);
  for (const action of ['org.freedesktop.policykit.exec', 'org.perfbroker.nothing', '', '__proto__'])
    t.deepEqual(await ask(socket, { subject, action }), { error: 'InvalidParameter', message: 'action' }, action);
  for (const details of [{ 'polkit.message': 'Harmless' }, { __proto__x: '' }, { '': 'x' }])
    t.deepEqual(await ask(socket, { subject, details }), { error: 'InvalidParameter', message: 'details' });
});

test('a dialog shows the question, and its answer is the answer', async (t) => {
  if (missing !== null) return skip(t, missing);
  const bus = await startPrivateBus(t, { actions: POLICY });
  const { socket } = await startAuthorizerProcess(bus);
  const subject = await startSubject(bus, 'outsider');
  const agent = await startAgent(bus, 'outsider', subject);
  const details = {
    target: 'process 12 (<b>harmless</b> & more)',
    events: 'cpu-clock:u\n\u202eeverything',
    caller: `/tmp/$(target)${'x'.repeat(300)}`,
  };
  t.deepEqual(await ask(socket, { subject, details }), CHALLENGE); // not interactive: no dialog is shown

  const allowed = open(socket, { subject, details, interactive: true });
  const begin = await agent.next();
  t.is(begin.event, 'begin');
  t.is(begin.action, 'org.perfbroker.sample-own');
  t.is(
    begin.text,
    `Authentication is required to let /tmp/$(target)${'x'.repeat(185)}… sample cpu-clock:u\ufffd\ufffdeverything of ` +
      'process 12 (‹b›harmless‹/b› ＆ more)',
  );
  await authenticate(bus, subject.uid, begin.cookie!);
  agent.say('done');
  t.deepEqual(await allowed.outcome, YES);

  const dismissed = open(socket, { subject, interactive: true });
  t.is((await agent.next()).event, 'begin');
  agent.say('dismiss');
  t.deepEqual(await dismissed.outcome, DISMISSED);

  // Closed without a password, but not dismissed: "authentication failed".
  const failed = open(socket, { subject, interactive: true });
  t.is((await agent.next()).event, 'begin');
  agent.say('done');
  t.deepEqual(await failed.outcome, NO);
});

test('the dialog names the capabilities taken away, and the action and the owner of a grant, in three languages', async (t) => {
  if (missing !== null) return skip(t, missing);
  const bus = await startPrivateBus(t, { actions: POLICY });
  const { socket } = await startAuthorizerProcess(bus);
  const caller = '/usr/bin/x (process 4, uid 5)';
  // As the broker fills them in.
  const downgrade = { caller, target: 'process 12 of uid 1000', events: 'take CAP_PERFMON, set no_new_privs' };
  const list = { caller, target: "everyone's grants", events: 'list' };
  const revoke = { caller, target: 'grant 0123456789abcdef01234567', events: 'revoke' };
  for (const [locale, ...texts] of [
    [
      'en_US.UTF-8',
      'Authentication is required to let CALLER permanently take privileges away from TARGET: EVENTS',
      'Authentication is required to let CALLER see or end what other users observe: EVENTS TARGET',
    ],
    [
      'de_DE.UTF-8',
      'Legitimation ist notwendig, damit CALLER TARGET dauerhaft Rechte entziehen darf: EVENTS',
      'Legitimation ist notwendig, damit CALLER Beobachtungen anderer Benutzer sehen oder beenden darf: EVENTS TARGET',
    ],
    [
      'fr_FR.UTF-8',
      'Une authentification est requise pour que CALLER puisse retirer définitivement des privilèges à TARGET : EVENTS',
      'Une authentification est requise pour que CALLER puisse voir ou interrompre les observations d’autres utilisateurs : EVENTS TARGET',
    ],
  ] as const) {
    const subject = await startSubject(bus, 'outsider');
    const agent = await startAgent(bus, 'outsider', subject, locale);
    for (const [action, details, text] of [
      ['downgrade', downgrade, texts[0]],
      ['administer', list, texts[1]],
      ['administer', revoke, texts[1]],
    ] as const) {
      const question = open(socket, { subject, action: `org.perfbroker.${action}`, details, interactive: true });
      const begin = await agent.next();
      const { target, events } = details;
      t.is(begin.text, text.replace('CALLER', caller).replace('TARGET', target).replace('EVENTS', events));
      agent.say('dismiss');
      t.deepEqual(await question.outcome, DISMISSED);
    }
  }
});

test('an authorization that polkit keeps without a session is kept for the process that asked', async (t) => {
  if (missing !== null) return skip(t, missing);
  const keep = `polkit.addRule(function (action) {
    if (action.id == "org.perfbroker.kernel") return polkit.Result.AUTH_ADMIN_KEEP;
  });`;
  const bus = await startPrivateBus(t, { actions: POLICY, rules: [keep] });
  const { socket } = await startAuthorizerProcess(bus);
  const subject = await startSubject(bus, 'outsider');
  const agent = await startAgent(bus, 'outsider', subject);
  const action = 'org.perfbroker.kernel';
  const question = open(socket, { subject, action, interactive: true });
  const { cookie } = await agent.next();
  await authenticate(bus, subject.uid, cookie!);
  agent.say('done');
  t.deepEqual(await question.outcome, YES);
  t.deepEqual(await ask(socket, { subject, action }), YES);
  t.deepEqual(await ask(socket, { subject, action: 'org.perfbroker.system-wide' }), CHALLENGE);
  const other = await startSubject(bus, 'outsider');
  t.deepEqual(await ask(socket, { subject: other, action }), CHALLENGE);
});

test('a broker that disconnects closes its dialog, and so does a deadline', async (t) => {
  if (missing !== null) return skip(t, missing);
  const bus = await startPrivateBus(t, { actions: POLICY });
  const authorizer = await startAuthorizerProcess(bus);
  const hasty = await startAuthorizerProcess(bus, { interactiveDeadlineMs: 2000 });
  const subject = await startSubject(bus, 'outsider');
  const agent = await startAgent(bus, 'outsider', subject);
  const question = open(authorizer.socket, { subject, interactive: true });
  const first = await agent.next();
  t.is(first.event, 'begin');
  question.takeBack();
  t.deepEqual(await agent.next(), { event: 'cancel', cookie: first.cookie! });
  t.like(await question.outcome, { error: 'closed' });

  const late = open(hasty.socket, { subject, interactive: true });
  const second = await agent.next();
  t.is(second.event, 'begin');
  t.regex(unavailable(await late.outcome), /did not reply within 2000 ms/);
  t.deepEqual(await agent.next(), { event: 'cancel', cookie: second.cookie! });
  authorizer.child.kill('SIGTERM');
  await once(authorizer.child, 'exit');
  t.regex(authorizer.log(), /ending with 0 pending/);
});

test('questions are answered without polkit, with a polkit that dies during a question, and with one that returns', async (t) => {
  if (missing !== null) return skip(t, missing);
  const bus = await startPrivateBus(t, { actions: POLICY, rules: [RULES], polkit: false });
  const { socket, log } = await startAuthorizerProcess(bus);
  const subject = await startSubject(bus, 'outsider');
  t.regex(unavailable(await ask(socket, { subject })), /StartServiceByName: .*ServiceUnknown/);
  await bus.startPolkit();
  t.deepEqual(await ask(socket, { subject }), YES);

  const agent = await startAgent(bus, 'outsider', subject);
  const question = open(socket, { subject, action: 'org.perfbroker.kernel', interactive: true });
  t.is((await agent.next()).event, 'begin');
  await bus.stopPolkit('SIGKILL');
  t.regex(unavailable(await question.outcome), /NoReply/);
  t.regex(log(), /org\.perfbroker\.kernel for uid 60124 \(pid \d+\) failed: .*NoReply/);

  await bus.startPolkit();
  t.deepEqual(await ask(socket, { subject }), YES);
});

test('a polkit that cannot be started and one that does not know the front end get different errors', async (t) => {
  if (missing !== null) return skip(t, missing);
  const service = '[D-BUS Service]\nName=org.freedesktop.PolicyKit1\nExec=/bin/false\n';
  const failing = await startPrivateBus(t, { polkit: false, services: { 'org.freedesktop.PolicyKit1': service } });
  const one = await startAuthorizerProcess(failing);
  const subject = { uid: process.getuid!(), pid: process.pid, startTime: '1' };
  t.regex(unavailable(await ask(one.socket, { subject })), /StartServiceByName: .*Spawn/);

  const bus = await startPrivateBus(t, { actions: POLICY, rules: [RULES] });
  const stranger = await startAuthorizerProcess(bus, {}, 'member');
  const other = await startSubject(bus, 'outsider');
  t.regex(
    unavailable(await ask(stranger.socket, { subject: other, details: { target: 'x' } })),
    /NotAuthorized|trusted/,
  );
});

test('only the broker and root get answers', async (t) => {
  if (missing !== null) return skip(t, missing);
  const bus = await startPrivateBus(t, { actions: POLICY, rules: [RULES] });
  const { socket, logged } = await startAuthorizerProcess(bus);
  const subject = await startSubject(bus, 'outsider');
  const call = JSON.stringify({
    method: 'org.perfbroker.Authorizer.Check',
    parameters: { subject, action: 'org.perfbroker.sample-own', details: {}, interactive: false },
  });
  const script = `
    const socket = require('net').connect(process.argv[1]);
    socket.on('data', (data) => { console.log(String(data).replace(/\\0$/, '')); socket.destroy(); });
    socket.on('error', () => undefined);
    socket.write(process.argv[2] + '\\0');`;
  const asked = async (user: 'perfbroker' | 'outsider' | 'perfbroker-opener'): Promise<unknown> => {
    const { stdout } = await bus.run([process.execPath, '-e', script, socket, call], { user });
    return stdout === '' ? null : JSON.parse(stdout);
  };
  t.deepEqual(await asked('perfbroker'), { parameters: YES });
  for (const user of ['outsider', 'perfbroker-opener'] as const) {
    const answer = await asked(user);
    // The refusal may be lost when the caller writes after it was closed; an answer it never is.
    if (answer !== null) t.like(answer, { error: 'org.perfbroker.Authorizer.Unavailable' });
    await logged(new RegExp(`uid ${USERS[user]} is not served: only the broker`));
  }
});

test('each of a hundred questions at once gets its answer or an error that there are too many', async (t) => {
  if (missing !== null) return skip(t, missing);
  const bus = await startPrivateBus(t, { actions: POLICY, rules: [RULES] });
  const { socket, child } = await startAuthorizerProcess(bus);
  const subject = await startSubject(bus, 'outsider');
  const agent = await startAgent(bus, 'outsider', subject);
  await ask(socket, { subject });
  const before = await settledFds(child.pid!);
  // Four dialogs are the most that one user can have open.
  const dialogs = [1, 2, 3, 4].map(() => open(socket, { subject, action: 'org.perfbroker.kernel', interactive: true }));
  t.is((await agent.next()).event, 'begin');
  const outcomes = await Promise.all(Array.from({ length: 96 }, () => ask(socket, { subject })));
  for (const outcome of outcomes)
    t.regex(unavailable(outcome), /4 of 4 authorization requests for uid 60124 are under way/);
  // No other user waits for it.
  const member = await startSubject(bus, 'member');
  t.deepEqual(await ask(socket, { subject: member }), YES);
  for (const dialog of dialogs) dialog.takeBack();
  await fdsBackTo(child.pid!, before);
  t.deepEqual(await ask(socket, { subject }), YES);
});

test('only one request per connection', async (t) => {
  if (missing !== null) return skip(t, missing);
  const bus = await startPrivateBus(t, { actions: POLICY, rules: [RULES] });
  const { socket } = await startAuthorizerProcess(bus);
  const subject = await startSubject(bus, 'outsider');
  const call = `${JSON.stringify({
    method: 'org.perfbroker.Authorizer.Check',
    parameters: { subject, action: 'org.perfbroker.sample-own', details: {}, interactive: false },
  })}\0`;
  const fd = native.connectUnix(socket);
  t.teardown(() => native.close(fd));
  native.sendMessage(fd, Buffer.from(call + call), []);
  let text = '';
  const into = new Uint8Array(4096);
  for (let waited = 0; text.split('\0').length < 3 && waited < 5000; waited += 5) {
    const received = native.receiveMessage(fd, into);
    if (received === null) await sleep(5);
    else text += Buffer.from(into.subarray(0, received.bytes)).toString();
  }
  t.deepEqual(
    text
      .split('\0')
      .slice(0, 2)
      .map((each): unknown => JSON.parse(each)),
    [
      { parameters: YES },
      { error: 'org.perfbroker.Authorizer.Unavailable', parameters: { message: 'only one request per connection' } },
    ],
  );
});

test('the parent process may pass the socket to the front end, if it is a listening one', async (t) => {
  if (missing !== null) return skip(t, missing);
  const bus = await startPrivateBus(t, { actions: POLICY, rules: [RULES] });
  // systemd-socket-activate's protocol: fd 3, LISTEN_FDS, and the pid of the program itself.
  const program = new URL('../authorizer_program.js', import.meta.url).pathname;
  const start = (fd: number): ReturnType<typeof spawn> =>
    spawn(
      'sh',
      ['-c', 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"', 'sh', process.execPath, program, '/nonexistent/socket'],
      {
        stdio: ['ignore', 'ignore', 'pipe', fd],
        env: { PATH: process.env['PATH'] ?? '', DBUS_SYSTEM_BUS_ADDRESS: bus.address },
      },
    );
  const said = async (child: ReturnType<typeof spawn>): Promise<string> => {
    let text = '';
    for await (const chunk of child.stderr!) {
      text += String(chunk);
      if (/ready|LISTEN_FDS is/.test(text)) break;
    }
    return text;
  };
  const path = `${bus.directory}/passed.sock`;
  const listener = native.listenUnix(path, 8);
  const [one, other] = native.socketPair('stream');
  const children = [start(listener), start(one)];
  t.teardown(() => children.forEach((child) => child.kill('SIGKILL')));
  const texts = await Promise.all(children.map(said)); // at once: unread output is dropped when a child ends
  t.regex(texts[0]!, /ready/);
  const subject = await startSubject(bus, 'outsider');
  t.deepEqual(await ask(path, { subject }), YES);
  t.regex(texts[1]!, /fd 3 of LISTEN_FDS is not a listening unix stream socket/);
  for (const fd of [listener, one, other]) native.close(fd);
});
