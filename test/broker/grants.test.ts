import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { Grant, newGrantId, type GrantParts } from '#dist/broker/grants.js';
import { LANES } from '#dist/broker/lanes.js';
import { OWN_LANE } from '#dist/native.js';
import { RingWatch } from '#dist/broker/ring_watch.js';

/** A grant without events, and why it was due so far. */
function leased(leaseSeconds: number): { readonly grant: Grant; readonly due: string[] } {
  const due: string[] = [];
  const parts: Partial<GrantParts> = {
    leaseSeconds,
    targets: [],
    lane: OWN_LANE,
    fds: [],
    ringFds: [],
    releaseQuota: () => undefined,
    releaseRingQuota: () => undefined,
  };
  return { grant: new Grant(newGrantId(), parts as GrantParts, (_grant, reason) => due.push(reason)), due };
}

test('a grant is due when its lease is over, and not before', async (t) => {
  const { grant, due } = leased(0.05);
  t.deepEqual(due, []);
  while (due.length === 0) await sleep(5);
  t.deepEqual(due, ['lease']);
  grant.close(false, LANES, new RingWatch());
});

test('a lease that is longer than a timer can be is not over at once', async (t) => {
  const { grant, due } = leased(365 * 86_400);
  await sleep(50);
  t.deepEqual(due, []);
  grant.close(false, LANES, new RingWatch());
  await sleep(10);
  t.deepEqual(due, []);
});
