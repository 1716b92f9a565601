/** The turn that an order takes at the opener. */
import test from 'ava';
import type { LockScope } from '#dist/broker/ipc/lock_scope.js';
import { openEvents, type OpenOrder } from '#dist/broker/methods/open/attach.js';
import type { OpenerClient } from '#dist/broker/ipc/opener.js';
import type { PinnedTarget } from '#dist/broker/processes/targets.js';
import type { Fd } from '#dist/native.js';

const FD = 0 as Fd;
const EVENTS = 16;
const CPUS = Array.from({ length: 20 }, (_, cpu) => cpu);
const PROCESS = {
  kind: 'process',
  fd: FD,
  tid: 10,
  process: { pid: 10, startTime: 7n, uids: [1000, 1000, 1000], sameUserNamespace: true },
} as unknown as PinnedTarget;

/** Opens nothing: each request finds no thread, and the last of so many fails. */
function fakeOpener(requests: number): { opener: OpenerClient; begun: (readonly LockScope[])[]; asked: LockScope[] } {
  const begun: (readonly LockScope[])[] = [];
  const asked: LockScope[] = [];
  const open = (_: unknown, scope: LockScope): Promise<unknown> => {
    asked.push(scope);
    if (asked.length === requests) return Promise.reject(new Error('late'));
    return Promise.resolve({ reply: { status: 'open-failed', slotErrnos: [3] }, fds: [], serial: asked.length });
  };
  const session = { open, done: () => undefined, release: () => Promise.resolve() };
  const opener = {
    begin: (_: number, scopes: readonly LockScope[]) => {
      begun.push(scopes);
      return Promise.resolve(session);
    },
  } as unknown as OpenerClient;
  return { opener, begun, asked };
}

function orderOf(parts: object): OpenOrder {
  return {
    user: 1000,
    users: { userOf: ({ uid }: { readonly uid: number }) => uid },
    connection: FD,
    events: Array.from({ length: EVENTS }, () => ({})),
    eventNames: [],
    leaders: Array.from({ length: EVENTS }, () => undefined),
    inherit: false,
    cpus: CPUS,
    ringPages: 0,
    ringSlots: 'none',
    kernel: { paranoid: 2, capability: '' },
    ringAnchors: { needed: false },
    maxFds: Infinity,
    reservation: { growTo: () => undefined, awaitRings: () => undefined },
    ...parts,
  } as unknown as OpenOrder;
}

test('an order begins with all of its targets, and each of its requests is about those that it opens', async (t) => {
  const { opener, begun, asked } = fakeOpener(4);
  const order = orderOf({ targets: [PROCESS, { kind: 'system', fd: null }] });
  await t.throwsAsync(openEvents(opener, order), { message: 'late' });
  const ofProcess = { targets: ['process 10 (start time 7)'], owner: 1000 };
  const ofCpus = (cpus: readonly number[]): LockScope => ({ targets: cpus.map((cpu) => `cpu ${cpu}`), owner: -1 });
  t.deepEqual(begun, [[ofProcess, ofCpus(CPUS)]]);
  // A message has room for 253 slots: 15 cpus of 16 events.
  t.deepEqual(asked, [ofProcess, ofProcess, ofCpus(CPUS.slice(0, 15)), ofCpus(CPUS.slice(15))]);
});

test('a request whose slots take several messages counts each slot once', async (t) => {
  const covered: number[] = [];
  const session = {
    open: ({ slots }: { readonly slots: readonly unknown[] }) =>
      Promise.resolve({
        reply: { status: 'opened', slotErrnos: slots.map(() => 0) },
        fds: slots.map(() => FD),
        serial: 1,
      }),
    done: () => undefined,
    release: () => Promise.resolve(),
  };
  const opener = { begin: () => Promise.resolve(session) } as unknown as OpenerClient;
  const reservation = { growTo: ({ fds }: { readonly fds: number }) => covered.push(fds), awaitRings: () => undefined };
  const { slots } = await openEvents(opener, orderOf({ targets: [PROCESS, PROCESS], reservation }));
  const ofOne = CPUS.length * EVENTS;
  t.is(slots.length, 2 * ofOne);
  t.deepEqual(covered, [ofOne, ofOne, 2 * ofOne, 2 * ofOne]);
});
