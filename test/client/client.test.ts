import { readFileSync } from 'node:fs';
import test from 'ava';
import { BrokerError, VarlinkError, type Client, type EventSpec, type OpenRequest } from '#dist/client/index.js';
import { native } from '#dist/native.js';
import { eventFromJson } from '#dist/interfaces/event_json.js';
import type { MethodHandler } from '#dist/varlink/service.js';
import { fdsBackTo, openFds, someFd, turns } from '../varlink/helpers.js';
import { FakeBroker } from './fake_broker.js';
import { openTaskClock, taskClockAttr } from './perf_attr.js';

// The fds of this process are counted: one test at a time.

const spec: EventSpec = eventFromJson({ source: { kind: 'software', name: 'task-clock' }, exclude: ['kernel'] });
const slot = (fd: number, more: object = {}): object => ({ fd, event: 0, target: 0, tid: 1, cpu: -1, ...more });
const opened = (slots: readonly object[], more: object = {}): object => ({
  grant: 'g1',
  slots,
  unstable: false,
  leaseSeconds: 0,
  ...more,
});
const revoked = { fds: 1, disabled: 1, kept: 'the holder keeps its fds' };

/** Runs a test against a broker with these handlers, and checks that no fd is left afterwards. */
async function withBroker(
  t: { deepEqual: (actual: unknown, expected: unknown, message?: string) => unknown },
  handlers: Record<string, MethodHandler<null>>,
  body: (client: Client, broker: FakeBroker) => Promise<void>,
  options: { checkReplies?: boolean; timeoutMs?: number } = {},
): Promise<void> {
  const before = openFds();
  const broker = new FakeBroker(handlers, options.checkReplies);
  const client = await broker.connect(options.timeoutMs);
  try {
    await body(client, broker);
  } finally {
    // Also after a failed assertion: what stays open would keep the test process from ending.
    await client.close();
    await turns();
    broker.close();
  }
  await turns();
  t.deepEqual(await fdsBackTo(before), before, 'fds are left');
}

test.serial('a grant has one usable event per slot', async (t) => {
  const revokes: unknown[] = [];
  const mapped: unknown[] = [];
  await withBroker(
    t,
    {
      Open: (_call, reply) =>
        void reply.reply(opened([slot(1, { cpu: 3 }), slot(0)], { leaseSeconds: 60, unstable: true }), [
          openTaskClock(),
          openTaskClock(),
        ]),
      Mapped: ({ parameters }, reply) => {
        mapped.push(parameters['grant']);
        reply.reply({});
      },
      Revoke: ({ parameters }, reply) => {
        revokes.push(parameters['grant']);
        reply.reply(revoked);
      },
    },
    async (client) => {
      const grant = await client.open({ targets: [{ pid: process.pid }], events: [spec] });
      t.is(grant.id, 'g1');
      t.true(grant.unstable);
      t.is(grant.leaseSeconds, 60);
      t.deepEqual(
        grant.events.map(({ event, target, tid, cpu }) => [event, target, tid, cpu]),
        [
          [0, 0, 1, 3],
          [0, 0, 1, -1],
        ],
      );
      await grant.mapped();
      t.deepEqual(mapped, ['g1']);
      const [first, second] = grant.events;
      if (first === undefined || second === undefined) return void t.fail();
      t.not(first.id(), second.id());
      t.is(first.read()[0], 0n);
      first.enable();
      // A busy machine may not let this thread run for a while.
      for (const end = Date.now() + 5000; (first.read()[0] ?? 0n) < 1_000_000n && Date.now() < end;);
      first.disable();
      t.true((first.read()[0] ?? 0n) >= 1_000_000n, 'ns of this thread');
      first.reset();
      t.is(first.read()[0], 0n);
      first.close();
      first.close();
      t.true(first.closed);
      t.throws(() => first.fd, { message: /closed/ });
      t.throws(() => first.enable(), { message: /closed/ });
      const { fd } = second;
      await Promise.all([grant.close(), grant.close()]);
      t.throws(() => readFileSync(`/proc/self/fdinfo/${fd}`), { code: 'ENOENT' });
      t.deepEqual(revokes, ['g1']);
    },
  );
});

test.serial('replies in parts become one grant', async (t) => {
  await withBroker(
    t,
    {
      Open: ({ more }, reply) => {
        t.true(more);
        reply.continue(
          opened(Array.from({ length: 253 }, (_, index) => slot(index))),
          Array.from({ length: 253 }, someFd),
        );
        reply.continue(opened([slot(0, { tid: 2 })], { unstable: true }), [someFd()]);
        reply.reply(opened([]));
      },
      Revoke: (_call, reply) => void reply.reply(revoked),
    },
    async (client) => {
      const grant = await client.open({ targets: [{ system: true }], events: [spec] });
      t.is(grant.events.length, 254);
      t.is(new Set(grant.events.map(({ fd }) => fd)).size, 254);
      t.is(grant.events.at(-1)?.tid, 2);
      t.true(grant.unstable);
      await grant.close();
    },
  );
});

test.serial('targets, events and fds reach the broker as the interface declares them', async (t) => {
  const mine = someFd();
  const directory = (await import('node:fs')).openSync('/sys', 'r');
  await withBroker(
    t,
    {
      Explain: ({ parameters, fds }, reply) => {
        t.is(fds.count, 5);
        const kinds = [0, 1, 2].map((index) => {
          const fd = fds.take(index);
          const pid = /^Pid:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1];
          native.close(fd);
          return pid;
        });
        t.deepEqual(kinds, [String(process.pid), String(process.pid), '1']);
        t.deepEqual(parameters, {
          targets: [
            { kind: 'process', pidfd: 0, threads: 'leader' },
            { kind: 'process', pidfd: 1, tid: 77 },
            { kind: 'process', pidfd: 2 },
            { kind: 'system' },
            { kind: 'cgroup', directory: 3 },
            { kind: 'cgroup', directory: 4 },
          ],
          events: [
            { source: { kind: 'software', name: 'task-clock' }, exclude: ['kernel'] },
            { attr: Buffer.from(taskClockAttr()).toString('base64'), leader: 0 },
          ],
          cpus: [0, 1],
          ringBytes: 4096,
          ringSlots: 'cpu',
          leaseSeconds: 5,
        });
        reply.reply({ decision: { verdict: 'allow', rule: 'r', classes: ['user'], reasons: [] } });
      },
    },
    async (client) => {
      const decision = await client.explain({
        targets: [
          { pid: process.pid, threads: 'leader' },
          { pidfd: mine, tid: 77 },
          { pid: 1 },
          { system: true },
          { cgroup: '/sys' },
          { cgroup: directory },
        ],
        events: [spec, { attr: taskClockAttr(), leader: 0 }],
        cpus: [0, 1],
        ringBytes: 4096,
        ringSlots: 'cpu',
        leaseSeconds: 5,
      });
      t.deepEqual(decision, { verdict: 'allow', rule: 'r', classes: ['user'], reasons: [] });
      t.true(native.pidfdAlive(mine), 'the fd of the caller stays open');
    },
  );
  native.close(mine);
  native.close(directory);
});

test.serial('describe, listGrants and revoke return the answer of the broker', async (t) => {
  const grant = {
    id: 'g',
    uid: 1,
    pid: 2,
    executable: '/x',
    targets: ['pid 3'],
    events: 1,
    fds: 1,
    ringBytes: 0,
    rule: 'r',
    ageSeconds: 1,
    leaseSeconds: 0,
  };
  const description = {
    version: '0',
    kernel: '6',
    paranoid: 3,
    capability: 'CAP_PERFMON',
    ceiling: [],
    pmus: [{ name: 'software', type: 1 }],
    tracepoints: 0,
    onlineCpus: [0],
    maxSampleRate: 1,
    policy: [],
    caller: { pid: 1, uid: 0, gid: 0, groups: [], administrator: true },
    rules: [],
  };
  await withBroker(
    t,
    {
      Describe: (_call, reply) => void reply.reply({ ...description, newerField: true }),
      ListGrants: ({ parameters }, reply) =>
        void reply.reply({ grants: parameters['all'] === true ? [grant, grant] : [grant] }),
      Revoke: (_call, reply) => void reply.reply(revoked),
    },
    async (client) => {
      t.deepEqual(await client.describe(), description as never, 'without what a newer broker added');
      t.deepEqual(await client.listGrants(), [grant]);
      t.deepEqual(await client.listGrants({ all: true }), [grant, grant]);
      t.deepEqual(await client.revoke('g'), revoked);
    },
    { checkReplies: false },
  );
});

const request: OpenRequest = { targets: [{ pid: process.pid }], events: [spec] };

test.serial('an error of the broker comes back as it was thrown', async (t) => {
  const parameters = {
    code: 'no-rule',
    message: 'no rule',
    errno: 13,
    cause: 'because',
    remedy: 'ask',
    reasons: [{ code: 'no-rule', text: 'none' }],
  };
  await withBroker(t, { Open: (_call, reply) => void reply.error('PolicyDenied', parameters) }, async (client) => {
    const error = await t.throwsAsync(client.open(request), { instanceOf: BrokerError, message: 'no rule' });
    t.deepEqual(
      [error.error, error.code, error.errno, error.explanation, error.remedy, error.details],
      ['PolicyDenied', 'no-rule', 13, 'because', 'ask', { reasons: parameters.reasons }],
    );
  });
});

test.serial('an error that is not known is a VarlinkError', async (t) => {
  await withBroker(t, {}, async (client) => {
    const error = await t.throwsAsync(client.revoke('g'), { instanceOf: VarlinkError });
    t.is(error.error, 'org.varlink.service.MethodNotImplemented');
    t.deepEqual(error.parameters, { method: 'org.perfbroker.Broker.Revoke' });
  });
});

test.serial('an error after some replies closes the fds that came before', async (t) => {
  await withBroker(
    t,
    {
      Open: (_call, reply) => {
        reply.continue(opened([slot(0)]), [someFd()]);
        const parameters = { code: 'exited', message: 'gone', errno: 0, cause: '', remedy: '' };
        reply.error('TargetGone', parameters);
      },
    },
    async (client) => {
      await t.throwsAsync(client.open(request), { instanceOf: BrokerError, message: 'gone' });
    },
  );
});

const contradictory = test.macro({
  exec: async (t, message: RegExp, answer: MethodHandler<null>) => {
    const options = { checkReplies: false };
    await withBroker(
      t,
      { Open: answer },
      async (client) => {
        await t.throwsAsync(client.open(request), { instanceOf: BrokerError, message });
      },
      options,
    );
  },
  title: (name) => `${name} is an error, and every fd is closed`,
});

test.serial('a slot without its fd', contradictory, /fd 2/, (_call, reply) => {
  reply.reply(opened([slot(0), slot(2)]), [someFd(), someFd()]);
});
test.serial('an fd in two slots', contradictory, /fd 0/, (_call, reply) => {
  reply.reply(opened([slot(0), slot(0)]), [someFd(), someFd()]);
});
test.serial('a slot of an event that was not asked for', contradictory, /not requested/, (_call, reply) => {
  reply.reply(opened([slot(0), slot(1, { event: 1 })]), [someFd(), someFd()]);
});
test.serial('a grant that changes its name', contradictory, /two grants/, (_call, reply) => {
  reply.continue(opened([slot(0)]), [someFd()]);
  reply.reply(opened([slot(0)], { grant: 'g2' }), [someFd()]);
});
test.serial('a reply that does not fit', contradictory, /slots: is missing/, (_call, reply) => {
  reply.continue(opened([slot(0)]), [someFd()]);
  reply.reply({ grant: 'g1' }, [someFd()]);
});

test.serial('fds that no slot mentions are closed', async (t) => {
  await withBroker(
    t,
    {
      Open: (_call, reply) => void reply.reply(opened([slot(1)]), [someFd(), someFd(), someFd()]),
      Revoke: (_call, reply) => void reply.reply(revoked),
    },
    async (client) => {
      const grant = await client.open(request);
      t.is(grant.events.length, 1);
      await grant.close();
    },
  );
});

test.serial('a broker that goes away rejects the call, and every later one', async (t) => {
  let release = (): void => undefined;
  await withBroker(
    t,
    {
      Open: (_call, reply) => {
        reply.continue(opened([slot(0)]), [someFd()]);
        return new Promise<void>((resolve) => (release = resolve)); // until then it holds the pidfd of the request
      },
    },
    async (client, broker) => {
      const open = client.open(request);
      await turns(20);
      for (const connection of broker.connections) connection.close();
      t.is((await t.throwsAsync(open, { instanceOf: BrokerError })).code, 'connection-lost');
      const error = await t.throwsAsync(client.describe(), { instanceOf: BrokerError });
      t.is(error.code, 'connection-lost');
      release();
    },
  );
});

test.serial('a broker that went away while nothing was under way is noticed by the next call', async (t) => {
  await withBroker(
    t,
    {
      Open: (_call, reply) => void reply.reply(opened([slot(0)]), [someFd()]),
    },
    async (client, broker) => {
      const grant = await client.open(request);
      for (const connection of broker.connections) connection.close();
      await turns();
      await t.notThrowsAsync(grant.close(), 'nothing is left to revoke');
      t.is((await t.throwsAsync(client.describe(), { instanceOf: BrokerError })).code, 'connection-lost');
    },
  );
});

test.serial('a call that is not answered in time fails, and so do the calls behind it', async (t) => {
  await withBroker(
    t,
    { Describe: () => new Promise((resolve) => setTimeout(resolve, 300)) },
    async (client) => {
      const calls = [client.describe(), client.open(request)];
      for (const call of calls) t.is((await t.throwsAsync(call, { instanceOf: BrokerError })).code, 'timed-out');
    },
    { timeoutMs: 50 },
  );
  await new Promise((resolve) => setTimeout(resolve, 400));
});

test.serial('calls that are made at once are answered each by its own reply', async (t) => {
  await withBroker(
    t,
    { Revoke: ({ parameters }, reply) => void reply.reply({ ...revoked, kept: parameters['grant'] }) },
    async (client) => {
      const names = Array.from({ length: 50 }, (_, index) => `g${index}`);
      const replies = await Promise.all(names.map((name) => client.revoke(name)));
      t.deepEqual(
        replies.map(({ kept }) => kept),
        names,
      );
    },
  );
});

test.serial('closing the client closes the events of its grants', async (t) => {
  await withBroker(t, { Open: (_call, reply) => void reply.reply(opened([slot(0)]), [someFd()]) }, async (client) => {
    const { events } = await client.open(request);
    await client.close();
    await client.close();
    t.true(events.every((event) => event.closed));
  });
});

test.serial('grants and clients are closed at the end of an `await using`', async (t) => {
  await withBroker(
    t,
    {
      Open: (_call, reply) => void reply.reply(opened([slot(0)]), [someFd()]),
      Revoke: (_call, reply) => void reply.reply(revoked),
    },
    async (client) => {
      const grant = await client.open(request);
      await grant[Symbol.asyncDispose]();
      t.true(grant.events[0]?.closed);
      await client[Symbol.asyncDispose]();
      await t.throwsAsync(client.describe(), { instanceOf: BrokerError });
    },
  );
});

test.serial('a grant is live until the broker no longer lists it', async (t) => {
  const record = { id: 'g1', uid: 0, pid: 1, executable: '', targets: [], events: 1, fds: 1, ringBytes: 0 };
  let grants: object[] = [{ ...record, rule: 'own', ageSeconds: 1, leaseSeconds: 0 }];
  const handlers: Record<string, MethodHandler<null>> = {
    Open: (_call, reply) => void reply.reply(opened([slot(0)]), [openTaskClock()]),
    ListGrants: (_call, reply) => void reply.reply({ grants }),
    Revoke: (_call, reply) => void reply.reply(revoked),
  };
  await withBroker(t, handlers, async (client) => {
    const grant = await client.open({ targets: [{ pid: process.pid }], events: [spec] });
    t.true(await grant.isLive());
    grants = [];
    t.false(await grant.isLive());
    await client.close();
    t.true(await grant.isLive(), 'nobody is there to say otherwise');
  });
});
