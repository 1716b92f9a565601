import test, { type ExecutionContext } from 'ava';
import type { Reply } from '#dist/client/channel.js';
import { grantFromReplies, type Grant, type GrantHost } from '#dist/client/grant.js';
import { brokerError } from '#dist/model/errors/error_table.js';
import type { Fd } from '#dist/native.js';
import { fdsBackTo, openFds, someFd } from '../varlink/helpers.js';

// The fds of this process are counted: one test at a time.

const REQUEST = { events: [{}, {}], targets: [{}] } as unknown as Parameters<typeof grantFromReplies>[1];
const slot = (fd: number, event = 0): object => ({ fd, event, target: 0, tid: 1, cpu: -1 });

function reply(slots: readonly object[], fds: readonly Fd[], more: object = {}): Reply {
  return { parameters: { grant: 'g', slots, unstable: false, leaseSeconds: 0, ...more }, fds };
}

/** A client that notes its calls, and fails them with `error`. */
class FakeHost implements GrantHost {
  readonly calls: string[] = [];
  readonly forgotten: Grant[] = [];
  error: Error | null = null;

  mapped(grant: string): Promise<unknown> {
    return this.#call(`mapped ${grant}`);
  }

  revoke(grant: string): Promise<unknown> {
    return this.#call(`revoke ${grant}`);
  }

  connected(): boolean {
    return true;
  }

  list(): Promise<readonly { readonly id: string }[]> {
    return this.#call('list').then(() => [{ id: 'g' }]);
  }

  forget(grant: Grant): void {
    this.forgotten.push(grant);
  }

  #call(text: string): Promise<unknown> {
    this.calls.push(text);
    return this.error === null ? Promise.resolve() : Promise.reject(this.error);
  }
}

async function noneLeft(t: ExecutionContext, body: () => Promise<void> | void): Promise<void> {
  const before = openFds();
  await body();
  t.deepEqual(await fdsBackTo(before), before);
}

test.serial('several replies become one grant, and fds without a slot are closed', async (t) => {
  await noneLeft(t, async () => {
    const host = new FakeHost();
    const [first, second, loose] = [someFd(), someFd(), someFd()];
    const grant = grantFromReplies(host, REQUEST, [
      reply([slot(1, 1)], [loose, first], { unstable: true, downgraded: { pid: 5 } }),
      reply([slot(0)], [second], { leaseSeconds: 60 }),
    ]);
    t.like(grant, { id: 'g', unstable: true, leaseSeconds: 60, downgraded: { pid: 5 } });
    t.deepEqual(
      grant.events.map(({ fd, event }) => [fd, event]),
      [
        [first, 1],
        [second, 0],
      ],
    );
    await grant.close();
    await grant.close();
    t.deepEqual(host.calls, ['revoke g']);
    t.deepEqual(host.forgotten, [grant]);
  });
});

test.serial('replies that contradict each other leave no fd open', async (t) => {
  const wrong: readonly [() => readonly Reply[], RegExp][] = [
    [() => [reply([slot(0), slot(1)], [someFd()])], /fd 1 is missing/],
    [() => [reply([slot(0), slot(0)], [someFd()])], /fd 0 is missing or used twice/],
    [() => [reply([slot(0, 2)], [someFd()])], /not requested/],
    [() => [reply([slot(0)], [someFd()]), reply([slot(0)], [someFd()], { grant: 'h' })], /two grants/],
  ];
  for (const [replies, message] of wrong)
    await noneLeft(t, () => void t.throws(() => grantFromReplies(new FakeHost(), REQUEST, replies()), { message }));
  await noneLeft(t, async () => {
    const ticket = grantFromReplies(new FakeHost(), null, [reply([slot(0, 2)], [someFd()])]);
    t.is(ticket.events[0]?.event, 2, 'the request of a ticket is not known');
    await ticket.close();
  });
});

test('a grant or broker that is gone is not an error, any other failure is', async (t) => {
  const host = new FakeHost();
  const grant = (): Grant => grantFromReplies(host, REQUEST, [reply([], [])]);
  for (const error of [brokerError('NoSuchGrant', 'unknown', 'x'), brokerError('Unavailable', 'not-running', 'x')]) {
    host.error = error;
    await t.notThrowsAsync(grant().mapped());
    await t.notThrowsAsync(grant().close());
  }
  host.error = new TypeError('a fault');
  await t.throwsAsync(grant().mapped(), { is: host.error });
  await t.throwsAsync(grant().close(), { is: host.error });
});

test('a grant is live while the broker lists it, or cannot be asked', async (t) => {
  const host = new FakeHost();
  t.true(await grantFromReplies(host, REQUEST, [reply([], [])]).isLive());
  const other = grantFromReplies(host, REQUEST, [reply([], [], { grant: 'h' })]);
  t.false(await other.isLive());
  host.error = new Error('gone');
  t.true(await other.isLive());
});
