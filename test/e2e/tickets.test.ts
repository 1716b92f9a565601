/** The D-Bus front end's calls: senders, tickets, watched grants. Its part is played by a process of its uid. */
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import type { Channel as BrokerChannel } from '#dist/client/channel.js';
import { ALICE, BOB, readableTree, runAs, startAs, type World } from './as_user.js';
import { noPrivilege, startDaemon, type Daemon, type DaemonOptions } from './daemon.js';
import { FakeAuthorizer, NO, YES, type Behaviour } from './fake_authorizer.js';
import { startBusy, type Victim } from './target.js';

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test : test.skip;

/** Uid of the front end on a machine without a user perfbroker-bus. */
const FRONT_END = 60913;

const POLICY = `
[[rule]]
name = "own"
verdict = "allow"
subjects = { users = [${ALICE}, ${BOB}] }
targets = { same_user = true }
classes = ["user"]
mode = ["counting", "sampling", "downgrade"]

[[rule]]
name = "ask"
verdict = "ask"
subjects = { everyone = true }
targets = { any_user = true, system = true }
classes = "all"
`;

async function scene(t: ExecutionContext, options: DaemonOptions = {}): Promise<Daemon> {
  const daemon = await startDaemon({ policy: POLICY, args: ['--ceiling', 'all'], ...options });
  t.teardown(() => daemon.stop());
  return daemon;
}

function authorizer(t: ExecutionContext, daemon: Daemon, behaviour: Behaviour): FakeAuthorizer {
  const fake = new FakeAuthorizer(daemon.socket, behaviour);
  t.teardown(() => fake.close());
  return fake;
}

/** A process that stands for a caller on the bus, and for what it wants to observe. */
async function callerOf(t: ExecutionContext, uid: number): Promise<Victim> {
  const caller = await startBusy(uid);
  t.teardown(() => caller.end());
  return caller;
}

interface CallAs {
  readonly method: string;
  readonly parameters: object;
  /** The claimed uid, and the process whose pidfd is sent for it; 0: an fd that is not a pidfd. */
  readonly sender: { readonly uid: number; readonly pid: number; readonly busName: string };
  readonly times?: number;
}

interface Answered {
  readonly code: string;
  readonly error: string;
  readonly reply: Record<string, unknown>;
}

/** One call with a sender, as the front end makes it; the last answer of `times`. */
const callWithSender = async (
  { native }: World,
  tree: string,
  { method, parameters, sender, times = 1 }: CallAs,
): Promise<Answered[]> => {
  const { Channel } = (await import(`${tree}/dist/client/channel.js`)) as { Channel: typeof BrokerChannel };
  const channel = new Channel(native.connectUnix(process.env['PERFBROKER_SOCKET']!));
  const { pid, ...rest } = sender;
  const answers: { code: string; error: string; reply: Record<string, unknown> }[] = [];
  for (let time = 0; time < times; time++) {
    const fd = pid === 0 ? native.duplicate(1) : native.pidfdOpen(pid);
    try {
      const body = { ...parameters, sender: { ...rest, pidfd: 0 } };
      const [reply] = await channel.call(method, body, { fds: [fd], timeoutMs: 30_000 });
      answers.push({ code: '', error: '', reply: reply!.parameters });
    } catch (thrown) {
      const { code, error } = thrown as { code: string; error: string };
      answers.push({ code, error, reply: {} });
    }
  }
  channel.close();
  return answers;
};

const EVENTS = [{ source: { kind: 'software', name: 'task-clock' }, exclude: ['kernel', 'hv'] }];

const openOf = (pid: number): object => ({ targets: [{ kind: 'process', pid }], events: EVENTS });

async function asFrontEnd(daemon: Daemon, call: CallAs, uid = FRONT_END): Promise<Answered> {
  const answers = await runAs({ uid, socket: daemon.socket }, callWithSender, readableTree(), call);
  return answers.at(-1)!;
}

const senderOf = (caller: Victim, uid: number): CallAs['sender'] => ({ uid, pid: caller.pid, busName: ':1.42' });

const redeemAs = async ({ client }: World, ticket: string, times: number): Promise<string[]> => {
  const connection = await client.connect();
  const answers: string[] = [];
  for (let time = 0; time < times; time++) {
    try {
      const grant = await connection.redeem(ticket);
      for (const event of grant.events) event.enable();
      const end = Date.now() + 20_000;
      const counts = (): boolean => grant.events.every((event) => Number(event.read()[0]) > 0);
      while (!counts() && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 20));
      answers.push(counts() ? 'counted' : 'nothing counted');
    } catch (error) {
      answers.push((error as { code: string }).code);
    }
  }
  await connection.close();
  return answers;
};

privileged(
  'a caller on the bus redeems the ticket that the front end prepared over a connection of its own, once',
  async (t) => {
    const daemon = await scene(t);
    const caller = await callerOf(t, ALICE);
    const prepared = await asFrontEnd(daemon, {
      method: 'PrepareOpen',
      parameters: openOf(caller.pid),
      sender: senderOf(caller, ALICE),
    });
    t.is(prepared.code, '');
    t.like(prepared.reply, { expiresSeconds: 30, decision: { verdict: 'allow', rule: 'own' } });
    const ticket = String(prepared.reply['ticket']);
    t.regex(ticket, /^[0-9a-f]{32}$/);
    t.deepEqual(await runAs({ uid: ALICE, socket: daemon.socket }, redeemAs, ticket, 2), ['counted', 'ticket']);
    const audit = daemon.audit();
    t.like(audit[0], {
      action: 'prepare',
      verdict: 'allow',
      busName: ':1.42',
      subject: { uid: ALICE, pid: caller.pid },
    });
    t.like(audit[1], { action: 'open', verdict: 'allow', rule: 'own', subject: { uid: ALICE } });
    t.false(JSON.stringify(audit).includes(ticket), 'a ticket is a secret until it is used');
  },
);

privileged("another user's ticket, and one for another method, are not valid", async (t) => {
  const daemon = await scene(t);
  const caller = await callerOf(t, ALICE);
  const prepared = await asFrontEnd(daemon, {
    method: 'PrepareOpen',
    parameters: openOf(caller.pid),
    sender: senderOf(caller, ALICE),
  });
  const ticket = String(prepared.reply['ticket']);
  t.deepEqual(await runAs({ uid: BOB, socket: daemon.socket }, redeemAs, ticket, 1), ['ticket']);
  const owner = await runAs(
    { uid: ALICE, socket: daemon.socket },
    async ({ client }, text) => {
      const connection = await client.connect();
      const code = ({ code: name }: { code: string }): string => name;
      const otherMethod = await connection.redeemDowngrade(text).then(() => 'done', code);
      return [otherMethod, await connection.redeem(text).then(() => 'opened', code)];
    },
    ticket,
  );
  t.deepEqual(owner, ['ticket', 'opened']);
});

privileged('guessing tickets ends at the request rate, and others are still served', async (t) => {
  const daemon = await scene(t, { policy: `[service]\nrequests_per_second = 20\nburst = 40\n${POLICY}` });
  const guess = startAs({ uid: BOB, socket: daemon.socket }, async ({ client }) => {
    const connection = await client.connect();
    const codes = new Set<string>();
    for (let index = 0; index < 200; index++)
      await connection
        .redeem(index.toString(16).padStart(32, '0'))
        .catch(({ code }: { code: string }) => codes.add(code));
    return [...codes].sort();
  });
  const caller = await callerOf(t, ALICE);
  const prepared = await asFrontEnd(daemon, {
    method: 'PrepareOpen',
    parameters: openOf(caller.pid),
    sender: senderOf(caller, ALICE),
  });
  const ticket = String(prepared.reply['ticket']);
  t.deepEqual(await runAs({ uid: ALICE, socket: daemon.socket }, redeemAs, ticket, 1), ['counted']);
  t.deepEqual(await guess.result, ['requests', 'ticket']);
});

privileged('only the front end may make requests for other callers, not even root', async (t) => {
  const daemon = await scene(t);
  const caller = await callerOf(t, ALICE);
  const calls: [string, object][] = [
    ['Explain', openOf(caller.pid)],
    ['PrepareOpen', openOf(caller.pid)],
    ['PrepareDowngrade', { target: { kind: 'process', pid: caller.pid }, drop: ['all'] }],
    ['ListGrants', {}],
    ['Revoke', { grant: '0' }],
  ];
  for (const uid of [ALICE, BOB, 0])
    for (const [method, parameters] of calls) {
      const answer = await asFrontEnd(daemon, { method, parameters, sender: senderOf(caller, ALICE) }, uid);
      t.like(answer, { error: 'PolicyDenied', code: 'not-front-end' }, `${method} by ${uid}`);
    }
  t.deepEqual(daemon.audit(), []);
});

privileged("a sender that does not match the front end's description is refused", async (t) => {
  const daemon = await scene(t);
  const [alice, bob] = [await callerOf(t, ALICE), await callerOf(t, BOB)];
  const explain = async (sender: CallAs['sender']): Promise<string> => {
    const answer = await asFrontEnd(daemon, { method: 'Explain', parameters: openOf(alice.pid), sender });
    return answer.code === '' ? 'ok' : `${answer.error} ${answer.code}`;
  };
  t.is(await explain(senderOf(alice, ALICE)), 'ok');
  t.is(await explain(senderOf(bob, ALICE)), 'InvalidTarget sender', 'a process of another uid');
  t.is(await explain(senderOf(alice, 0)), 'InvalidTarget sender', 'another uid than the process has');
  t.is(await explain({ uid: ALICE, pid: 0, busName: ':1.42' }), 'InvalidTarget sender', 'no pidfd');
  for (const busName of ['', '1.42', ':1', ':1.42 ', ':1.42\n', 'org.perfbroker.Broker1', `:1.${'4'.repeat(300)}`])
    t.is(await explain({ ...senderOf(alice, ALICE), busName }), 'InvalidTarget sender', JSON.stringify(busName));
  t.is(await explain({ ...senderOf(alice, ALICE), uid: -1 }), 'InvalidTarget sender');
});

privileged(
  "a request for a sender is decided by the sender's own rights: its groups, its processes, its pid namespace",
  async (t) => {
    const daemon = await scene(t);
    const [alice, bob] = [await callerOf(t, ALICE), await callerOf(t, BOB)];
    const own = await asFrontEnd(daemon, {
      method: 'Explain',
      parameters: openOf(alice.pid),
      sender: senderOf(alice, ALICE),
    });
    t.like(own.reply, { decision: { verdict: 'allow', rule: 'own' } });
    const other = await asFrontEnd(daemon, {
      method: 'Explain',
      parameters: openOf(bob.pid),
      sender: senderOf(alice, ALICE),
    });
    t.like(other.reply, { decision: { verdict: 'ask', actions: ['org.perfbroker.other-user'] } });
  },
);

privileged(
  "requests for a sender count against that sender, and the front end's other callers are served",
  async (t) => {
    const daemon = await scene(t, { policy: `[service]\nrequests_per_second = 1\nburst = 10\n${POLICY}` });
    const [alice, bob] = [await callerOf(t, ALICE), await callerOf(t, BOB)];
    const many = { method: 'Explain', parameters: openOf(alice.pid), sender: senderOf(alice, ALICE), times: 200 };
    t.is((await asFrontEnd(daemon, many)).code, 'requests');
    const answer = await asFrontEnd(daemon, {
      method: 'Explain',
      parameters: openOf(bob.pid),
      sender: senderOf(bob, BOB),
    });
    t.is(answer.code, '');
  },
);

privileged('a ticket carries what was authorized, for the caller that the bus named', async (t) => {
  const daemon = await scene(t);
  const fake = authorizer(t, daemon, (asked) => asked.answer(YES));
  const [alice, bob] = [await callerOf(t, ALICE), await callerOf(t, BOB)];
  const call = {
    method: 'PrepareOpen',
    parameters: { ...openOf(bob.pid), allowInteractive: true },
    sender: senderOf(alice, ALICE),
  };
  const prepared = await asFrontEnd(daemon, call);
  t.like(prepared.reply, { decision: { verdict: 'ask', actions: ['org.perfbroker.other-user'] } });
  t.like(fake.questions[0], {
    action: 'org.perfbroker.other-user',
    interactive: true,
    subject: { uid: ALICE, pid: alice.pid, busName: ':1.42' },
  });
  const asAlice = { uid: ALICE, socket: daemon.socket };
  t.deepEqual(await runAs(asAlice, redeemAs, String(prepared.reply['ticket']), 1), ['counted']);
  t.is(fake.questions.length, 1, 'asked once');
  t.like(daemon.audit().at(-2), { action: 'open', authorized: ['org.perfbroker.other-user'] });
  fake.behaviour = (asked) => asked.answer(NO);
  t.like(await asFrontEnd(daemon, call), { error: 'PolicyDenied', code: 'not-authorized' });
});

privileged('a ticket is decided by the policy at the time of redemption', async (t) => {
  const daemon = await scene(t);
  const fake = authorizer(t, daemon, (asked) => asked.answer(YES));
  const alice = await callerOf(t, ALICE);
  const prepare = async (): Promise<string> => {
    const call = { method: 'PrepareOpen', parameters: openOf(alice.pid), sender: senderOf(alice, ALICE) };
    return String((await asFrontEnd(daemon, call)).reply['ticket']);
  };
  const reload = async (policy: string): Promise<void> => {
    const from = daemon.log().length;
    writeFileSync(daemon.policyFile, policy);
    process.kill(daemon.parts.broker, 'SIGHUP');
    await daemon.logged(/policy reloaded/, from);
  };
  const asAlice = { uid: ALICE, socket: daemon.socket };
  const first = await prepare();
  await reload(POLICY.replace('name = "own"\nverdict = "allow"', 'name = "own"\nverdict = "deny"'));
  t.deepEqual(await runAs(asAlice, redeemAs, first, 1), ['denied']);
  await reload(POLICY);
  const second = await prepare();
  await reload(POLICY.replace('name = "own"\nverdict = "allow"', 'name = "own"\nverdict = "ask"'));
  t.deepEqual(await runAs(asAlice, redeemAs, second, 1), ['policy-changed'], 'nobody was asked for this one');
  t.deepEqual(fake.questions, []);
});

privileged('a target that has ended makes its ticket worthless', async (t) => {
  const daemon = await scene(t);
  const [alice, target] = [await callerOf(t, ALICE), await callerOf(t, ALICE)];
  const prepared = await asFrontEnd(daemon, {
    method: 'PrepareOpen',
    parameters: openOf(target.pid),
    sender: senderOf(alice, ALICE),
  });
  await target.end();
  const ticket = String(prepared.reply['ticket']);
  t.deepEqual(await runAs({ uid: ALICE, socket: daemon.socket }, redeemAs, ticket, 1), ['exited']);
});

privileged('a downgrade by ticket', async (t) => {
  // Here alone: the tracers of all daemons that run have one user, whose processes are limited.
  const daemon = await scene(t, { args: ['--ceiling', 'all', '--with-tracer'] });
  const alice = await callerOf(t, ALICE);
  const prepare = async (): Promise<string> => {
    const prepared = await asFrontEnd(daemon, {
      method: 'PrepareDowngrade',
      parameters: { target: { kind: 'process', pid: alice.pid }, drop: ['all'], noNewPrivs: true },
      sender: senderOf(alice, ALICE),
    });
    t.is(prepared.code, '');
    return String(prepared.reply['ticket']);
  };
  const redeem = async ({ client }: World, ticket: string): Promise<string> => {
    const connection = await client.connect();
    return connection.redeemDowngrade(ticket).then(
      ([process]) => `${process?.pid} ${process?.threads[0]?.noNewPrivs}`,
      ({ code }: { code: string }) => code,
    );
  };
  let ticket = await prepare();
  t.is(await runAs({ uid: BOB, socket: daemon.socket }, redeem, ticket), 'ticket');
  let redeemed = await runAs({ uid: ALICE, socket: daemon.socket }, redeem, ticket);
  // A crowded machine does not always stop a process within the 100 ms that a user has.
  while (redeemed === 'deadline') {
    ticket = await prepare();
    redeemed = await runAs({ uid: ALICE, socket: daemon.socket }, redeem, ticket);
  }
  t.is(redeemed, `${alice.pid} true`);
  t.is(await runAs({ uid: ALICE, socket: daemon.socket }, redeem, ticket), 'ticket');
});

/** Watches until it has seen a grant go, and returns the changes; a denial is its code. */
const watch = async ({ client }: World, all: boolean): Promise<string[]> => {
  const seen: string[] = [];
  try {
    for await (const { change, grant, reason: why } of client.watchGrants({
      all,
      signal: AbortSignal.timeout(60_000),
    })) {
      seen.push(`${change}${grant === undefined ? '' : ` ${grant.uid}`}${why === undefined ? '' : ` ${why}`}`);
      if (seen.length === 1) console.error('watching');
      if (change === 'removed') break;
    }
  } catch (error) {
    seen.push((error as { code: string }).code);
  }
  return seen;
};

privileged('grants are watched by the callers that may see them, from the first to the last', async (t) => {
  const daemon = await scene(t);
  const alice = await callerOf(t, ALICE);
  t.deepEqual(await runAs({ uid: BOB, socket: daemon.socket }, watch, true), ['not-administrator']);
  const watchers = [
    [ALICE, false],
    [FRONT_END, true],
    [0, true],
    [BOB, false],
  ] as const;
  const running = watchers.map(([uid, all]) => startAs({ uid, socket: daemon.socket }, watch, all));
  await Promise.all(
    running.map(
      ({ child }) =>
        new Promise<void>((resolve) =>
          child.stderr!.on('data', (text) => String(text).includes('watching') && resolve()),
        ),
    ),
  );
  const hold = async (uid: number): Promise<void> => {
    const victim = uid === ALICE ? alice : await callerOf(t, uid);
    await runAs(
      { uid, socket: daemon.socket },
      async ({ client, syntax }, pid) => {
        const connection = await client.connect();
        const grant = await connection.open({ targets: [{ pid }], events: syntax.parseEvents('task-clock:u') });
        await grant.close();
      },
      victim.pid,
    );
  };
  await hold(ALICE);
  const whole = (uid: number): string[] => ['present', `added ${uid}`, `removed ${uid} revoked`];
  for (const index of [0, 1, 2]) t.deepEqual(await running[index]!.result, whole(ALICE), `watcher ${index}`);
  await hold(BOB);
  t.deepEqual(await running[3]!.result, whole(BOB), "nothing of Alice's");
});

privileged('a set-group-id program that a caller on the bus executes lends the caller no group', async (t) => {
  const GROUP = 60_999;
  const policy = `[[rule]]
name = "group"
verdict = "allow"
subjects = { groups = [${GROUP}] }
targets = { any_user = true }
classes = "all"
`;
  const daemon = await scene(t, { policy });
  const target = await callerOf(t, ALICE);
  const decide = async (rgid: number, egid: number): Promise<unknown> => {
    const ids = [`--reuid=${ALICE}`, `--rgid=${rgid}`, `--egid=${egid}`, '--clear-groups'];
    // Not by a shell, which gives up an effective group of its own accord.
    const child = spawn('setpriv', [...ids, 'sleep', '60'], { stdio: 'ignore' });
    try {
      const ready = new RegExp(`^Name:\\tsleep\\n[^]*^Gid:\\t${rgid}\\t${egid}\\t`, 'm');
      while (!ready.test(readFileSync(`/proc/${child.pid!}/status`, 'latin1')))
        await new Promise((resolve) => setTimeout(resolve, 10));
      const sender = { uid: ALICE, pid: child.pid!, busName: ':1.42' };
      const { reply } = await asFrontEnd(daemon, { method: 'Explain', parameters: openOf(target.pid), sender });
      return (reply['decision'] as { verdict: string }).verdict;
    } finally {
      child.kill('SIGKILL');
    }
  };
  t.is(await decide(GROUP, GROUP), 'allow');
  t.is(await decide(ALICE, GROUP), 'deny');
});

privileged(
  'with --log-level debug the log has each request, also a refused one, each message to the opener and each end of a grant, and no ticket',
  async (t) => {
    const daemon = await scene(t, { args: ['--ceiling', 'all', '--log-level', 'debug'] });
    const caller = await callerOf(t, ALICE);
    const prepared = await asFrontEnd(daemon, {
      method: 'PrepareOpen',
      parameters: openOf(caller.pid),
      sender: senderOf(caller, ALICE),
    });
    const ticket = String(prepared.reply['ticket']);
    t.deepEqual(await runAs({ uid: ALICE, socket: daemon.socket }, redeemAs, ticket, 2), ['counted', 'ticket']);
    await runAs(
      { uid: BOB, socket: daemon.socket },
      async ({ client, syntax }, pid) => {
        const connection = await client.connect();
        const request = { targets: [{ pid }], events: syntax.parseEvents('task-clock:u') };
        await connection.explain(request);
        await connection.open(request).catch(() => undefined);
        await connection.open({ ...request, ringSlots: 'none of these' as 'each' }).catch(() => undefined);
      },
      caller.pid,
    );
    const line = (text: string): RegExp => new RegExp(`perfbroker: ${text}$`, 'm');
    const ms = String.raw`\d+\.\d ms`;
    await daemon.logged(line(`PrepareOpen of uid ${ALICE} pid ${caller.pid}: allow by rule "own", ${ms}`));
    await daemon.logged(line(String.raw`Redeem of uid ${ALICE} pid \d+: allow by rule "own", ${ms}`));
    await daemon.logged(line(String.raw`Redeem of uid ${ALICE} pid \d+: NoSuchGrant ticket, ${ms}`));
    await daemon.logged(line(String.raw`opener worker \d+: open answered, ${ms}`));
    await daemon.logged(line(String.raw`grant [0-9a-f]{24} of uid ${ALICE} ended: connection, after \d+ s`));
    await daemon.logged(line(String.raw`Explain of uid ${BOB} pid \d+: ask by rule "ask", ${ms}`));
    await daemon.logged(line(String.raw`Open of uid ${BOB} pid \d+: deny by rule "ask", PolicyDenied [a-z-]+, ${ms}`));
    await daemon.logged(line(String.raw`Open of uid ${BOB} pid \d+: refused, InvalidParameter`));
    t.false(daemon.log().includes(ticket));
  },
);
