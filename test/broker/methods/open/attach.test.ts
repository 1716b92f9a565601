/** The turn that an order takes at the opener, and the slots that come of it. */
import test from 'ava';
import type { LockScope } from '#dist/broker/ipc/lock_scope.js';
import { openEvents, type OpenOrder } from '#dist/broker/methods/open/attach.js';
import type { PinnedTarget } from '#dist/broker/processes/targets.js';
import { eventFields } from '#dist/model/events/event_fields.js';
import { native, OWN_LANE, type Fd } from '#dist/native.js';
import { FakeOpener, settledFds, peerOf, specOf } from '../fakes.js';

const FD = 0 as Fd;
const EVENTS = 16;
const CPUS = Array.from({ length: 20 }, (_, cpu) => cpu);
const ESRCH = 3;
const EACCES = 13;
const facts = { pid: 10, startTime: 7n, uids: [1000, 1000, 1000], sameUserNamespace: true };
const THREAD = { kind: 'process', fd: FD, tid: 10, process: facts } as unknown as PinnedTarget;
const PROCESS = { ...THREAD, tid: null } as PinnedTarget;
const spec = specOf();

function orderOf(request: Partial<OpenOrder['request']>, parts: Partial<OpenOrder> = {}): OpenOrder {
  const specs = request.specs ?? Array.from({ length: EVENTS }, () => spec);
  return {
    user: OWN_LANE,
    users: { userOf: ({ uid }: { readonly uid: number }) => uid },
    subject: peerOf().subject,
    socket: FD,
    host: { paranoid: 2, capability: '', onlineCpus: () => CPUS },
    ringAnchors: { needed: false, attach: () => Promise.resolve([]) },
    maxFds: Infinity,
    reservation: { growTo: () => undefined, awaitRings: () => undefined },
    ...parts,
    request: {
      targets: [THREAD],
      specs,
      fields: specs.map((each) => eventFields(each)),
      cpus: CPUS,
      ringPages: 0,
      ringSlots: 'none',
      ...request,
    },
  };
}

/** Thread lists that one scan after the other finds; the last one stays. */
function scansOf(...scans: readonly (readonly number[])[]): () => readonly number[] {
  let scan = 0;
  return () => scans[Math.min(scan++, scans.length - 1)] ?? [];
}

function close(slots: readonly { readonly fd: Fd }[]): void {
  for (const { fd } of slots) native.close(fd);
}

test.serial(
  'an order begins with all of its targets, and each of its requests is about those that it opens',
  async (t) => {
    const opener = new FakeOpener();
    // Each request finds no thread, and the last one fails.
    opener.onOpen = (request) => {
      if (request === 3) throw new Error('late');
      return { status: 'open-failed', errno: () => ESRCH };
    };
    const order = orderOf({ targets: [THREAD, { kind: 'system', fd: null }] });
    await t.throwsAsync(openEvents(opener, order), { message: 'late' });
    const ofProcess = { targets: ['process 10 (start time 7)'], owner: 1000 };
    const ofCpus = (cpus: readonly number[]): LockScope => ({ targets: cpus.map((cpu) => `cpu ${cpu}`), owner: -1 });
    t.deepEqual(opener.scopes, [[ofProcess, ofCpus(CPUS)]]);
    // A message has room for 253 slots: 15 cpus of 16 events.
    const asked = opener.requests.map(({ scope }) => scope);
    t.deepEqual(asked, [ofProcess, ofProcess, ofCpus(CPUS.slice(0, 15)), ofCpus(CPUS.slice(15))]);
  },
);

test.serial('a request whose slots take several messages counts each slot once', async (t) => {
  const covered: number[] = [];
  const reservation = { growTo: ({ fds }: { readonly fds: number }) => covered.push(fds), awaitRings: () => undefined };
  const order = orderOf({ targets: [THREAD, THREAD] }, { reservation });
  const { slots } = await openEvents(new FakeOpener(), order);
  const ofOne = CPUS.length * EVENTS;
  t.is(slots.length, 2 * ofOne);
  t.deepEqual(covered, [ofOne, ofOne, 2 * ofOne, 2 * ofOne]);
  close(slots);
});

test.serial('threads that are created during an attach are added until a scan finds no new one', async (t) => {
  const opener = new FakeOpener();
  const order = orderOf({ targets: [PROCESS], specs: [spec], cpus: [-1] });
  const { slots, unstable } = await openEvents(opener, order, scansOf([10], [10, 11], [10, 11, 12]));
  t.deepEqual(
    opener.requests.map(({ request }) => request.slots.map(({ tid }) => tid)),
    [[10], [11], [12]],
  );
  t.deepEqual([slots.map(({ tid }) => tid), unstable], [[10, 11, 12], false]);
  close(slots);
});

test.serial('a process that never stops creating threads is attached in part, and the reply says so', async (t) => {
  let tid = 10;
  const order = orderOf({ targets: [PROCESS], specs: [spec], cpus: [-1] });
  const { slots, unstable } = await openEvents(new FakeOpener(), order, () => [tid++]);
  t.true(unstable);
  t.true(slots.length > 1);
  close(slots);
});

test.serial('inherited events are closed and opened again when a thread was created during the attach', async (t) => {
  const before = await settledFds();
  const opener = new FakeOpener();
  const inherited = { ...spec, inherit: true };
  const request = { targets: [PROCESS], specs: [inherited], cpus: [0, 1], ringPages: 1, ringSlots: 'cpu' } as const;
  // Two scans to an attempt: before and after it.
  const { slots } = await openEvents(opener, orderOf(request), scansOf([10], [10, 11], [10, 11]));
  t.deepEqual(
    opener.requests.map(({ request: { slots: sent } }) => sent.map(({ tid, cpu, premap }) => [tid, cpu, premap])),
    [
      [
        [10, 0, true],
        [10, 1, true],
      ],
      [
        [10, 0, true],
        [10, 1, true],
        [11, 0, false],
        [11, 1, false],
      ],
    ],
  );
  t.deepEqual(opener.releasedRings, [1]);
  close(slots);
  t.is(await settledFds(), before);
});

test.serial(
  'an attach that the opener refuses in the middle closes all of its fds and releases its rings',
  async (t) => {
    const before = await settledFds();
    const opener = new FakeOpener();
    opener.onOpen = (request) => (request === 2 ? { status: 'open-failed', errno: () => EACCES } : {});
    const awaited: unknown[] = [];
    const reservation = { growTo: () => undefined, awaitRings: (rings: unknown) => void awaited.push(rings) };
    const request = { targets: [THREAD, THREAD], cpus: CPUS, ringPages: 1, ringSlots: 'each' } as const;
    const attaching = openEvents(opener, orderOf(request, { reservation }));
    t.like(await t.throwsAsync(attaching), { error: 'KernelRefused', code: 'EACCES' });
    t.is(await settledFds(), before);
    t.deepEqual([opener.done, opener.released, awaited.length], [0, 1, 1]);
  },
);

test.serial('a cpu whose ring went with an ended thread gets the ring of the next living thread', async (t) => {
  const before = await settledFds();
  const opener = new FakeOpener();
  // Thread 10 has ended: its slots, the first two, carried the rings of both cpus.
  opener.onOpen = (request) => (request === 0 ? { errno: (slot) => (slot < 2 ? ESRCH : 0) } : {});
  const rings: number[] = [];
  const reservation = {
    growTo: (use: { readonly rings: number }) => void rings.push(use.rings),
    awaitRings: () => undefined,
  };
  const request = { targets: [PROCESS], specs: [spec], cpus: [0, 1], ringPages: 1, ringSlots: 'cpu' } as const;
  const { slots } = await openEvents(opener, orderOf(request, { reservation }), scansOf([10, 11, 12]));
  t.deepEqual(
    slots.map(({ tid, cpu, ring }) => [tid, cpu, ring]),
    [
      [11, 0, true],
      [11, 1, true],
      [12, 0, false],
      [12, 1, false],
    ],
  );
  t.deepEqual(opener.releasedRings, [1]);
  t.deepEqual(rings, [2, 2]);
  close(slots);
  t.is(await settledFds(), before);
});

test.serial('a cpu whose threads of one message have all ended gets its ring in the next message', async (t) => {
  const opener = new FakeOpener();
  opener.onOpen = (request) => (request === 0 ? { status: 'open-failed', errno: () => ESRCH } : {});
  const tids = Array.from({ length: 254 }, (_, index) => index + 1);
  const request = { targets: [PROCESS], specs: [spec], cpus: [0], ringPages: 1, ringSlots: 'cpu' } as const;
  const { slots } = await openEvents(opener, orderOf(request), scansOf(tids));
  t.deepEqual(
    slots.map(({ tid, ring }) => [tid, ring]),
    [[254, true]],
  );
  close(slots);
});

test.serial('slots of threads that have ended are left out', async (t) => {
  const opener = new FakeOpener();
  opener.onOpen = () => ({ errno: (slot) => (slot === 1 ? ESRCH : 0) });
  const order = orderOf({ targets: [PROCESS], specs: [spec], cpus: [-1] });
  const { slots } = await openEvents(opener, order, scansOf([10, 11, 12]));
  t.deepEqual(
    slots.map(({ tid }) => tid),
    [10, 12],
  );
  close(slots);
});

test.serial('an attach that grows above its limit of fds is refused, and its fds are closed', async (t) => {
  const before = await settledFds();
  const order = orderOf({ targets: [PROCESS], specs: [spec], cpus: [-1] }, { maxFds: 2 });
  const attaching = openEvents(new FakeOpener(), order, scansOf([10], [10, 11, 12]));
  t.like(await t.throwsAsync(attaching), { error: 'QuotaExceeded', code: 'fds' });
  t.is(await settledFds(), before);
});

test.serial('a slot whose ring gets no anchor is closed, and may get its ring from another thread', async (t) => {
  const before = await settledFds();
  const opener = new FakeOpener();
  const ringAnchors = { needed: true, attach: () => Promise.resolve([true, false]) };
  const request = { targets: [THREAD], specs: [spec], cpus: [0, 1], ringPages: 1, ringSlots: 'each' } as const;
  const { slots } = await openEvents(opener, orderOf(request, { ringAnchors }));
  t.deepEqual(
    slots.map(({ cpu, ring, anchor }) => [cpu, ring, anchor !== null]),
    [[0, true, true]],
  );
  close(slots.flatMap(({ fd, anchor }) => [{ fd }, { fd: anchor ?? fd }]));
  t.is(await settledFds(), before);
});

test.serial('anchors that cannot be attached are closed with everything else', async (t) => {
  const before = await settledFds();
  const ringAnchors = { needed: true, attach: () => Promise.reject(new Error('no ring')) };
  const request = { targets: [THREAD], specs: [spec], cpus: [0, 1], ringPages: 1, ringSlots: 'each' } as const;
  await t.throwsAsync(openEvents(new FakeOpener(), orderOf(request, { ringAnchors })), { message: 'no ring' });
  t.is(await settledFds(), before);
});
