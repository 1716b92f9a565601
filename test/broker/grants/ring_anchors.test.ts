import test from 'ava';
import type { Lanes } from '#dist/broker/grants/lanes.js';
import { anchorFields, RingAnchors } from '#dist/broker/grants/ring_anchors.js';
import { PERF_TYPE, type EventFields } from '#dist/model/events/event_fields.js';
import { EventFlag } from '#dist/model/event_flags.js';

const LANE = 1000;

/** A kernel that maps a ring through an event that is redirected to it, or does not. */
function kernel(mapsRedirected: boolean): { lanes: Pick<Lanes, 'keepRings'>; probes: (number | null)[] } {
  const probes: (number | null)[] = [];
  return {
    probes,
    lanes: {
      keepRings: (_, anchors, __, probePages) => {
        probes.push(probePages);
        const probed = probePages === null ? null : mapsRedirected;
        return Promise.resolve({ mapsRedirected: probed, kept: anchors.map((fd) => fd !== 13) });
      },
    },
  };
}

test('the first rings probe the kernel, once', async (t) => {
  const { lanes, probes } = kernel(true);
  const anchors = new RingAnchors(lanes);
  t.true(anchors.needed, 'until a probe shows otherwise');
  t.deepEqual(await anchors.attach(LANE, [12, 13], [10, 11], 4), [true, false]);
  await anchors.attach(LANE, [14], [15], 8);
  t.deepEqual(probes, [4, null]);
  t.true(anchors.needed);
});

test('a kernel that maps no ring through another event needs no anchors', async (t) => {
  const anchors = new RingAnchors(kernel(false).lanes);
  await anchors.attach(LANE, [12], [10], 4);
  t.false(anchors.needed);
});

test('an anchor is an event of the same kind that counts nothing for others', (t) => {
  const event = { type: PERF_TYPE.hardware, config: 3n, flags: EventFlag.inherit | EventFlag.pinned } as EventFields;
  t.like(anchorFields(event), { type: PERF_TYPE.hardware, config: 3n });
  t.falsy(anchorFields(event).flags);
});

test('the anchor of a breakpoint takes no breakpoint register', (t) => {
  const event = {
    type: PERF_TYPE.breakpoint,
    config: 0n,
    bpType: 2,
    config1: 4096n,
    flags: EventFlag.inherit,
  } as EventFields;
  t.like(anchorFields(event), { type: PERF_TYPE.software, config: 9n, bpType: 0, config1: 0n });
});
