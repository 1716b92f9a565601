/** Rules with the verdict ask, through a real daemon, with a fake of perfbroker-bus that answers as a test wants. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import type { EventSpec } from '#dist/model/event.js';
import { ALICE, BOB, runAs, startAs, type World } from './as_user.js';
import { commandLine, noPrivilege, skip, startDaemon, type Daemon, type DaemonOptions } from './daemon.js';
import { FakeAuthorizer, NO, YES, type Asked, type Behaviour } from './fake_authorizer.js';
import { start, startBusy, type Victim } from './target.js';
import { fdsBackTo, settledFds } from '../tools/fds_of.js';

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test : test.skip;

const ALLOW_ADMINISTRATORS = `
[[rule]]
name = "administrators"
verdict = "allow"
subjects = { administrator = true }
targets = { any_user = true, system = true, any_cgroup = true }
classes = "all"
`;

export const ASK_POLICY = `${ALLOW_ADMINISTRATORS}
[[rule]]
name = "bobs"
verdict = "allow"
subjects = { users = [${BOB}] }
targets = { same_user = true }
classes = ["user"]

[[rule]]
name = "ask"
verdict = "ask"
subjects = { everyone = true }
targets = { any_user = true, system = true, any_cgroup = true }
classes = "all"
mode = ["counting", "sampling", "downgrade"]
`;

const CEILING = ['--ceiling', 'all'];

interface Scene {
  readonly daemon: Daemon;
  readonly fake: FakeAuthorizer;
}

async function scene(t: ExecutionContext, behaviour: Behaviour, options: DaemonOptions = {}): Promise<Scene> {
  const daemon = await startDaemon({ policy: ASK_POLICY, args: CEILING, ...options });
  const fake = new FakeAuthorizer(daemon.socket, behaviour);
  t.teardown(async () => {
    fake.close();
    await daemon.stop();
  });
  return { daemon, fake };
}

async function victimOf(t: ExecutionContext, uid: number): Promise<Victim> {
  const victim = await startBusy(uid);
  t.teardown(() => victim.end());
  return victim;
}

/** Opens, counts for a moment, and returns the count or the refusal. */
const openAs = async (
  { client, syntax }: World,
  pid: number | null,
  events: string,
  allowInteractive: boolean,
): Promise<{ error: string; code: string; message: string; reasons: string[]; count: number }> => {
  const connection = await client.connect();
  try {
    const grant = await connection.open({
      targets: pid === null ? [{ system: true }] : [{ pid }],
      events: syntax.parseEvents(events),
      allowInteractive,
    });
    for (const event of grant.events) event.enable();
    let count = 0;
    for (const end = Date.now() + 20_000; count === 0 && Date.now() < end;) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      count = grant.events.reduce((sum, event) => sum + Number(event.read()[0]), 0);
    }
    await connection.close();
    return { error: '', code: '', message: '', reasons: [], count };
  } catch (thrown) {
    const { error, code, message, details } = thrown as {
      error: string;
      code: string;
      message: string;
      details: { reasons?: { text: string }[] };
    };
    return { error, code, message, reasons: (details?.reasons ?? []).map(({ text }) => text), count: 0 };
  }
};

const until = async (done: () => boolean): Promise<void> => {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 10));
};

privileged('an authorized request is opened; question, answer and grant are recorded', async (t) => {
  const { daemon, fake } = await scene(t, (asked) => asked.answer(YES));
  const victim = await victimOf(t, ALICE);
  const opened = await runAs({ uid: ALICE, socket: daemon.socket }, openAs, victim.pid, 'task-clock:u', false);
  t.like(opened, { error: '' });
  t.true(opened.count > 0);
  const [question] = fake.questions;
  t.like(question, { action: 'org.perfbroker.count-own', interactive: false, subject: { uid: ALICE } });
  t.regex(question!.details['target'] ?? '', new RegExp(`^pid ${victim.pid} \\[sh\\] of uid ${ALICE}$`));
  t.is(question!.details['events'], 'task-clock:u');
  t.regex(question!.details['caller'] ?? '', /^\[(?:node|MainThread|node-MainThread)\] \(process \d+, uid 60123\)$/);
  t.regex(question!.subject.startTime, /^\d+$/);
  const [ask, open] = daemon.audit();
  t.like(ask, {
    action: 'ask',
    verdict: 'allow',
    rule: 'ask',
    asked: 'org.perfbroker.count-own',
    answer: 'authorized',
    events: ['task-clock:u'],
  });
  t.like(open, { action: 'open', verdict: 'allow', rule: 'ask', authorized: ['org.perfbroker.count-own'] });
});

privileged('a rule that allows is not asked about', async (t) => {
  const { daemon, fake } = await scene(t, (asked) => asked.answer(NO));
  const victim = await victimOf(t, BOB);
  const opened = await runAs({ uid: BOB, socket: daemon.socket }, openAs, victim.pid, 'task-clock:u', true);
  t.is(opened.error, '');
  t.deepEqual(fake.questions, []);
});

const refusals: [string, Behaviour | null, string][] = [
  ['polkit refuses', (asked) => asked.answer(NO), 'not-authorized'],
  ['polkit would have to ask a human', (asked) => asked.answer({ ...NO, challenge: true }), 'authorization-needed'],
  ['the dialog is closed', (asked) => asked.answer({ ...NO, dismissed: true }), 'dismissed'],
  ['the answer is malformed', (asked) => asked.send('{"parameters":{"authorized":"true"}}\0'), 'no-authorizer'],
  ['no authorizer is running', null, 'no-authorizer'],
];
for (const [title, behaviour, code] of refusals) {
  privileged(
    `a request that needs authorization is refused when ${title}, and the error names the part that needs it`,
    async (t) => {
      const { daemon, fake } = await scene(t, behaviour ?? (() => undefined));
      if (behaviour === null) fake.close();
      const victim = await victimOf(t, ALICE);
      const refused = await runAs({ uid: BOB, socket: daemon.socket }, openAs, victim.pid, 'task-clock:u', true);
      t.like(refused, { error: 'PolicyDenied', code });
      t.true(
        refused.reasons.some((text) =>
          /rule "bobs" does not cover process \d+ .*its uid is \d+ and the caller's is \d+/.test(text),
        ),
        JSON.stringify(refused),
      );
      t.like(daemon.audit()[0], {
        action: 'ask',
        verdict: 'deny',
        asked: 'org.perfbroker.other-user',
        interactive: true,
      });
      t.is(daemon.audit().length, 1);
    },
  );
}

privileged('every action that applies is asked, the strongest first, and one no ends it', async (t) => {
  const { daemon, fake } = await scene(t, (asked) =>
    asked.answer(asked.question.action === 'org.perfbroker.kernel' ? NO : YES),
  );
  const asAlice = { uid: ALICE, socket: daemon.socket };
  t.is((await runAs(asAlice, openAs, null, 'cpu-clock', true)).code, 'not-authorized');
  t.deepEqual(
    fake.questions.map(({ action }) => action),
    ['org.perfbroker.system-wide', 'org.perfbroker.kernel'],
  );
  fake.behaviour = (asked) => asked.answer(YES);
  t.is((await runAs(asAlice, openAs, null, 'cpu-clock', true)).error, '');
});

privileged("another user's process is opened where that is authorized and the ceiling has it", async (t) => {
  const { daemon } = await scene(t, (asked) => asked.answer(YES));
  const victim = await victimOf(t, BOB);
  const opened = await runAs({ uid: ALICE, socket: daemon.socket }, openAs, victim.pid, 'task-clock:u', true);
  t.is(opened.error, '');
  t.true(opened.count > 0);
  const { daemon: low, fake } = await scene(t, (asked) => asked.answer(YES), { args: ['--ceiling', 'user'] });
  const refused = await runAs({ uid: ALICE, socket: low.socket }, openAs, victim.pid, 'task-clock:u', true);
  t.is(refused.error, 'CeilingExceeded');
  t.deepEqual(fake.questions, [], 'nobody is bothered with what can not be');
});

privileged('explain names the actions that would be asked, and asks for no authorization', async (t) => {
  const { daemon, fake } = await scene(t, (asked) => asked.answer(YES));
  const decision = await runAs({ uid: ALICE, socket: daemon.socket }, async ({ client, syntax }) => {
    const connection = await client.connect();
    return connection.explain({ targets: [{ system: true }], events: syntax.parseEvents('cpu-clock') });
  });
  t.like(decision, {
    verdict: 'ask',
    rule: 'ask',
    actions: ['org.perfbroker.system-wide', 'org.perfbroker.kernel'],
  });
  t.true(decision.reasons.length > 0);
  t.deepEqual(fake.questions, []);
});

privileged('the question of a client that disconnects is withdrawn, and nothing is left behind', async (t) => {
  let asked: Asked | null = null;
  const { daemon } = await scene(t, (question) => (asked = question));
  const victim = await victimOf(t, ALICE);
  const before = await settledFds(daemon.parts.broker);
  const waiting = startAs({ uid: ALICE, socket: daemon.socket }, openAs, victim.pid, 'task-clock:u', true);
  waiting.result.catch(() => undefined);
  await until(() => asked !== null);
  waiting.child.kill('SIGKILL');
  await asked!.over;
  await until(() => daemon.audit().length > 0);
  t.like(daemon.audit()[0], { action: 'ask', verdict: 'deny', answer: 'withdrawn' });
  await fdsBackTo(daemon.parts.broker, before);
  t.is(daemon.audit().length, 1);
});

privileged('a target that ends while the dialog is up is gone, with any answer', async (t) => {
  let asked: Asked | null = null;
  const { daemon } = await scene(t, (question) => (asked = question));
  const victim = await victimOf(t, ALICE);
  const opening = runAs({ uid: ALICE, socket: daemon.socket }, openAs, victim.pid, 'task-clock:u', true);
  await until(() => asked !== null);
  await victim.end();
  asked!.answer(YES);
  t.like(await opening, { error: 'TargetGone', code: 'exited' });
});

privileged('a target that becomes another program while the dialog is up is not covered by the answer', async (t) => {
  let asked: Asked | null = null;
  const { daemon } = await scene(t, (question) => (asked = question));
  const victim = await start(ALICE, ALICE, 'trap "exec sleep 60" USR1; while :; do sleep 0.05; done');
  t.teardown(() => victim.end());
  const opening = runAs({ uid: ALICE, socket: daemon.socket }, openAs, victim.pid, 'task-clock:u', true);
  await until(() => asked !== null);
  process.kill(victim.pid, 'SIGUSR1');
  await until(() => commandLine(victim.pid).startsWith('sleep 60'));
  asked!.answer(YES);
  t.like(await opening, { error: 'TargetChanged', code: 'executable' });
});

privileged('the policy is asked again after the answer: a reload to deny holds', async (t) => {
  let asked: Asked | null = null;
  const { daemon } = await scene(t, (question) => (asked = question));
  const victim = await victimOf(t, ALICE);
  const opening = runAs({ uid: ALICE, socket: daemon.socket }, openAs, victim.pid, 'task-clock:u', true);
  await until(() => asked !== null);
  writeFileSync(daemon.policyFile, ALLOW_ADMINISTRATORS);
  process.kill(daemon.parts.broker, 'SIGHUP');
  await daemon.logged(/policy reloaded/);
  asked!.answer(YES);
  t.like(await opening, { error: 'PolicyDenied', code: 'no-rule' });
});

privileged('the fifth question of a user who floods the authorizer is refused, and others are served', async (t) => {
  const { daemon, fake } = await scene(t, (asked) => {
    if (asked.question.subject.uid !== ALICE) asked.answer(YES);
  });
  const victim = await victimOf(t, ALICE);
  const flood = startAs(
    { uid: ALICE, socket: daemon.socket },
    async ({ client, syntax }, pid) => {
      const codes = await Promise.all(
        Array.from({ length: 6 }, async () => {
          const connection = await client.connect({ timeoutMs: 0 });
          const request = { targets: [{ pid }], events: syntax.parseEvents('task-clock:u'), allowInteractive: true };
          const answer = connection.open(request).then(
            () => 'opened',
            ({ code }: { code: string }) => code,
          );
          return Promise.race([answer, new Promise<string>((r) => setTimeout(() => r('waiting'), 1500))]);
        }),
      );
      return codes.sort();
    },
    victim.pid,
  );
  await until(() => fake.questions.length === 4);
  const other = await victimOf(t, BOB);
  const opened = await runAs({ uid: BOB, socket: daemon.socket }, openAs, other.pid, 'task-clock', true);
  t.is(opened.error, '');
  t.deepEqual(await flood.result, [
    'too-many-questions',
    'too-many-questions',
    'waiting',
    'waiting',
    'waiting',
    'waiting',
  ]);
});

privileged(
  'no authorization is asked for a client in a user namespace of its own, where one user has many uids',
  async (t) => {
    const { daemon, fake } = await scene(t, (asked) => asked.answer(YES));
    const options = { uid: ALICE, socket: daemon.socket, ownUserNamespace: true };
    const codes = await runAs(options, async ({ client }) => {
      const connection = await client.connect();
      const code = (error: unknown): string => (error as { code: string }).code;
      return [
        await connection.listGrants({ all: true, allowInteractive: true }).then(() => 'listed', code),
        await connection.revoke('0'.repeat(24), { allowInteractive: true }).then(() => 'revoked', code),
      ];
    });
    t.deepEqual(codes, ['no-authorizer', 'no-authorizer']);
    t.deepEqual(fake.questions, []);
    t.like(daemon.audit()[0], { action: 'ask', verdict: 'deny', answer: 'unavailable' });
  },
);

privileged('no authorization is asked for a uid that is lent to a user with many of them', async (t) => {
  if (!existsSync('/etc/subuid')) return skip(t, 'there is no /etc/subuid');
  const { daemon, fake } = await scene(t, (asked) => asked.answer(YES), { subuid: `mallory:${ALICE}:1\n` });
  const victim = await victimOf(t, ALICE);
  const lent = await runAs({ uid: ALICE, socket: daemon.socket }, openAs, victim.pid, 'task-clock:u', true);
  t.like(lent, { error: 'PolicyDenied', code: 'no-authorizer' });
  t.deepEqual(fake.questions, []);
  const other = await victimOf(t, BOB);
  const own = await runAs({ uid: BOB, socket: daemon.socket }, openAs, other.pid, 'task-clock', true);
  t.is(own.error, '');
  t.is(fake.questions.length, 1);
});

privileged(
  'the dialog distinguishes a count from samples of registers and stack, and says that children are observed',
  async (t) => {
    const { daemon, fake } = await scene(t, (asked) => asked.answer(NO));
    const victim = await victimOf(t, ALICE);
    const ask = (extra: Partial<Omit<EventSpec, 'regsUser'>>): Promise<void> =>
      runAs(
        { uid: ALICE, socket: daemon.socket },
        async ({ client, syntax }, pid, more) => {
          const connection = await client.connect();
          const registers = more.sampleType?.includes('regs_user') === true ? { regsUser: 0xff0fffn } : {};
          const events = syntax.parseEvents('task-clock:u').map((event) => ({ ...event, ...more, ...registers }));
          const request = { targets: [{ pid, threads: 'leader' as const }], events, allowInteractive: true };
          const code = await connection.open(request).then(
            () => 'opened',
            (error: unknown) => (error as { code: string }).code,
          );
          if (code !== 'not-authorized') throw new Error(code);
          await connection.close();
        },
        victim.pid,
        extra,
      );
    await ask({});
    await ask({ sampling: { frequency: 99 }, sampleType: ['ip', 'tid'] });
    await ask({
      sampling: { frequency: 999 },
      sampleType: ['ip', 'tid', 'callchain', 'regs_user', 'stack_user'],
      stackUser: 65_528,
      inherit: true,
    });
    t.deepEqual(
      fake.questions.map(({ details }) => details['events']),
      [
        'task-clock:u',
        '1 event (sampled): task-clock:u',
        '1 event (sampled with call chains, registers, 65528 bytes of stack; children too): task-clock:u',
      ],
    );
  },
);

privileged('a program chooses its own name in a dialog, and no other text of the dialog', async (t) => {
  const { daemon, fake } = await scene(t, (asked) => asked.answer(NO));
  const victim = await start(ALICE, ALICE, 'printf "x] (uid 0) [y" >/proc/self/comm; while :; do sleep 0.05; done');
  t.teardown(() => victim.end());
  await until(() => readFileSync(`/proc/${victim.pid}/comm`, 'latin1').startsWith('x]'));
  await runAs({ uid: ALICE, socket: daemon.socket }, openAs, victim.pid, 'task-clock:u', true);
  t.is(fake.questions[0]!.details['target'], `pid ${victim.pid} [x? ?uid 0? ?y] of uid ${ALICE}`);
});

privileged('the dialog gives the number and the owners of targets before a list that is cut off', async (t) => {
  const { daemon, fake } = await scene(t, (asked) => asked.answer(NO));
  const own = await victimOf(t, ALICE);
  const other = await victimOf(t, BOB);
  const pids = [...Array.from({ length: 20 }, () => own.pid), other.pid];
  await t.throwsAsync(
    runAs(
      { uid: ALICE, socket: daemon.socket },
      async ({ client, syntax }, list) => {
        const connection = await client.connect();
        const events = syntax.parseEvents('task-clock:u,page-faults:u,context-switches:u');
        await connection.open({ targets: list.map((pid) => ({ pid })), events, allowInteractive: true });
      },
      pids,
    ),
  );
  const { target = '', events = '' } = fake.questions[0]!.details;
  t.true(target.startsWith(`21 targets of uid ${ALICE}, ${BOB}: pid ${own.pid} [sh], `), target);
  t.is(target.length, 200);
  t.true(events.startsWith('3 events: task-clock:u, '), events);
});

privileged('a stop does not wait for a human', async (t) => {
  let asked: Asked | null = null;
  const { daemon } = await scene(t, (question) => (asked = question));
  const victim = await victimOf(t, ALICE);
  const opening = runAs({ uid: ALICE, socket: daemon.socket }, openAs, victim.pid, 'task-clock:u', true);
  await until(() => asked !== null);
  // The monitor kills a broker that waits, and exits with another code.
  t.is((await daemon.stop()).code, 0);
  t.like(await opening, { error: 'Unavailable', code: 'shutting-down' });
});

privileged('a downgrade asks its own action, and is carried out when that is authorized', async (t) => {
  const { daemon, fake } = await scene(t, (asked) => asked.answer(NO), { args: [...CEILING, '--with-tracer'] });
  const victim = await victimOf(t, ALICE);
  const downgrade = async ({ client }: World, pid: number): Promise<string> => {
    const connection = await client.connect();
    const request = { target: { pid }, drop: ['all'], noNewPrivs: true, allowInteractive: true };
    for (;;) {
      const answer = await connection.downgrade(request).then(
        ({ length }) => `${length}`,
        ({ code }: { code: string }) => code,
      );
      // A crowded machine does not stop a process within the 100 ms that a user has.
      if (answer !== 'deadline') return answer;
    }
  };
  const asAlice = { uid: ALICE, socket: daemon.socket };
  t.is(await runAs(asAlice, downgrade, victim.pid), 'not-authorized');
  t.like(fake.questions[0], {
    action: 'org.perfbroker.downgrade',
    interactive: true,
    details: { events: 'take all capabilities, set no_new_privs' },
  });
  fake.behaviour = (asked) => asked.answer(YES);
  t.is(await runAs(asAlice, downgrade, victim.pid), '1');
  t.like(daemon.audit().at(-2), {
    action: 'downgrade',
    verdict: 'allow',
    authorized: ['org.perfbroker.downgrade'],
  });
});

privileged(
  "an administrator's action on others' grants is asked only where a dialog is allowed, and then allows",
  async (t) => {
    const { daemon, fake } = await scene(t, (asked) => asked.answer(YES));
    const victim = await victimOf(t, BOB);
    const grants = async (
      { client }: World,
      step: 'list' | 'revoke',
      id: string,
      allowInteractive: boolean,
    ): Promise<string[]> => {
      const connection = await client.connect();
      try {
        if (step === 'revoke') return [`${(await connection.revoke(id, { allowInteractive })).fds}`];
        return (await connection.listGrants({ all: true, allowInteractive })).map((grant) => grant.id);
      } catch (error) {
        return [(error as { code: string }).code];
      }
    };
    const holder = startAs(
      { uid: BOB, socket: daemon.socket },
      async ({ client, syntax }, pid) => {
        const connection = await client.connect();
        await connection.open({ targets: [{ pid }], events: syntax.parseEvents('task-clock:u') });
        await new Promise((resolve) => setTimeout(resolve, 60_000));
      },
      victim.pid,
    );
    holder.result.catch(() => undefined);
    t.teardown(() => holder.child.kill('SIGKILL'));
    await until(() => daemon.audit().some(({ action }) => action === 'open'));
    const asAlice = { uid: ALICE, socket: daemon.socket };
    const id = String(daemon.audit().find(({ action }) => action === 'open')?.['grant']);
    t.deepEqual(await runAs(asAlice, grants, 'list', '', false), ['not-administrator']);
    t.deepEqual(await runAs(asAlice, grants, 'revoke', id, false), ['unknown']);
    t.deepEqual(fake.questions, []);
    t.deepEqual(await runAs(asAlice, grants, 'list', '', true), [id]);
    // A text that is not an id brings up no dialog, because the dialog would show it.
    t.deepEqual(await runAs(asAlice, grants, 'revoke', `${id}, as you asked for`, true), ['unknown']);
    // A grant that is not there is asked about like one that is.
    t.deepEqual(await runAs(asAlice, grants, 'revoke', '0'.repeat(24), true), ['unknown']);
    t.deepEqual(await runAs(asAlice, grants, 'revoke', id, true), ['1']);
    t.deepEqual(
      fake.questions.map(({ action, details }) => `${action} ${details['events']}`),
      ['list', 'revoke', 'revoke'].map((what) => `org.perfbroker.administer ${what}`),
    );
    t.like(
      daemon.audit().find(({ action }) => action === 'revoke'),
      { verdict: 'allow', grant: id, of: BOB },
    );
  },
);
