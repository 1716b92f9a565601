import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { Grant, Grants, newGrantId, type EndedGrant, type GrantParts } from '#dist/broker/grants/grants.js';
import type { Lanes } from '#dist/broker/grants/lanes.js';
import { RingWatch } from '#dist/broker/grants/ring_watch.js';

/** Lanes in which nothing is done before {@link FakeLanes.finish}. */
class FakeLanes implements Lanes {
  readonly asked: string[] = [];
  readonly #waiting: (() => void)[] = [];
  disabled = 0;
  mapped = false;
  #done = false;

  #later(what: string): Promise<void> {
    this.asked.push(what);
    return this.#done ? Promise.resolve() : new Promise((resolve) => this.#waiting.push(resolve));
  }

  readonly close: Lanes['close'] = (lane, fds) => this.#later(`close ${fds.join()} in ${lane}`);
  readonly disable: Lanes['disable'] = (lane, fds) => {
    let pending = fds.length;
    const done = this.#later(`disable ${fds.join()} in ${lane}`).then(() => void (pending = 0));
    return { done, progress: () => ({ disabled: this.disabled, pending: Math.max(0, pending - this.disabled) }) };
  };
  readonly ringsMapped: Lanes['ringsMapped'] = async (lane, fds) => {
    await this.#later(`mapped ${fds.join()} in ${lane}`);
    return this.mapped;
  };
  readonly keepRings: Lanes['keepRings'] = () => Promise.reject(new Error('not for grants'));

  finish(): void {
    this.#done = true;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** Parts of a grant, and the names of those that it has released. */
function partsOf(more: Partial<GrantParts> = {}): { readonly parts: GrantParts; readonly released: string[] } {
  const released: string[] = [];
  const parts: Partial<GrantParts> = {
    lane: 7,
    leaseSeconds: 0,
    targets: [],
    fds: [],
    ringFds: [],
    releaseRings: () => Promise.resolve(),
    releaseQuota: () => released.push('grant'),
    releaseRingQuota: () => released.push('rings'),
    ...more,
  };
  return { parts: parts as GrantParts, released };
}

/** A grant without events, and why it was due so far. */
function leased(leaseSeconds: number): { readonly grant: Grant; readonly due: string[]; readonly close: () => void } {
  const due: string[] = [];
  const { parts } = partsOf({ leaseSeconds });
  const lanes = new FakeLanes();
  const grant = new Grant(newGrantId(), parts, (_grant, reason) => due.push(reason));
  return { grant, due, close: () => grant.close(false, lanes, new RingWatch(lanes)) };
}

test('a grant ends when its lease is over, and not before', async (t) => {
  const { due, close } = leased(0.05);
  t.deepEqual(due, []);
  while (due.length === 0) await sleep(5);
  t.deepEqual(due, ['lease']);
  close();
});

test('a lease that is longer than the longest timer does not end at once', async (t) => {
  const { due, close } = leased(365 * 86_400);
  await sleep(50);
  t.deepEqual(due, []);
  close();
  await sleep(10);
  t.deepEqual(due, []);
});

/** Grants over fake lanes, and the ends that were reported. */
function grantsOf(lanes: Lanes): { readonly grants: Grants; readonly ends: (EndedGrant & { reason: string })[] } {
  const ends: (EndedGrant & { reason: string })[] = [];
  return { grants: new Grants((_grant, reason, ended) => ends.push({ reason, ...ended }), lanes), ends };
}

test('a revoked grant is gone at once, disabled and then closed in the lane of its user, and its quota is returned after that', async (t) => {
  const lanes = new FakeLanes();
  const { grants, ends } = grantsOf(lanes);
  const { parts, released } = partsOf({ fds: [10, 11] });
  const ended = grants.end(grants.add(newGrantId(), parts), 'revoked');
  t.is(grants.size, 0);
  t.deepEqual(lanes.asked, ['disable 10,11 in 7', 'close 10,11 in 7']);
  await sleep(10);
  t.deepEqual([released, ends], [[], []]);
  lanes.disabled = 2;
  lanes.finish();
  t.deepEqual(await ended, { fds: 2, disabled: 2, pending: 0 });
  t.deepEqual(released, ['grant', 'rings']);
  t.deepEqual(ends, [{ reason: 'revoked', fds: 2, disabled: 2, pending: 0 }]);
});

test('the end of a grant whose events cannot be disabled is reported once, after a second', async (t) => {
  const lanes = new FakeLanes();
  const { grants, ends } = grantsOf(lanes);
  const { parts, released } = partsOf({ fds: [10, 11, 12] });
  lanes.disabled = 1;
  const known = { fds: 3, disabled: 1, pending: 2 };
  t.deepEqual(await grants.end(grants.add(newGrantId(), parts), 'lease'), known);
  t.deepEqual(ends, [{ reason: 'lease', ...known }]);
  t.deepEqual(released, [], 'what cannot be closed counts');
  lanes.finish();
  await sleep(10);
  t.deepEqual(released, ['grant', 'rings']);
  t.is(ends.length, 1);
});

test('the end of the broker waits for no lane, and leaves no end of a grant unreported', (t) => {
  const lanes = new FakeLanes();
  const { grants, ends } = grantsOf(lanes);
  const parts = [0, 1].map(() => partsOf({ fds: [10] }).parts);
  const [first] = parts.map((each) => grants.add(newGrantId(), each));
  void grants.end(first!, 'revoked');
  grants.endAll('shutdown');
  t.deepEqual(
    ends.map(({ reason, pending }) => [reason, pending]),
    [
      ['shutdown', 0],
      ['revoked', 1],
    ],
  );
});
