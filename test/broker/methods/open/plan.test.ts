import test from 'ava';
import { placesOf, planSlots } from '#dist/broker/methods/open/plan.js';
import { NO_LEADER } from '#dist/broker/ipc/opener_protocol.js';

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

test('every thread, cpu and event has one slot, and no message has more than 253', (t) => {
  const messages = [...planSlots([undefined, undefined], placesOf(range(100), [0, 1, 2]), 'none', new Set())];
  t.true(messages.every((slots) => slots.length <= 253));
  const places = messages.flat().map(({ tid, cpu, event }) => `${tid}/${cpu}/${event}`);
  t.is(places.length, 600);
  t.is(new Set(places).size, 600);
});

test('a group stays in one message, its members point at their own leader', (t) => {
  const messages = [...planSlots([undefined, 0, 0], placesOf(range(200), [-1]), 'none', new Set())];
  for (const slots of messages) {
    for (const slot of slots) {
      if (slot.leader === NO_LEADER) continue;
      const leader = slots[slot.leader]!;
      t.deepEqual([leader.tid, leader.cpu, leader.event], [slot.tid, slot.cpu, 0]);
    }
  }
  t.is(messages.flat().filter((slot) => slot.leader === NO_LEADER).length, 200);
});

test('one ring a cpu is mapped in advance, over all targets of a request', (t) => {
  const cpus = new Set<number>();
  const first = [...planSlots([undefined], placesOf([1, 2], [0, 1]), 'cpu', cpus)].flat();
  const second = [...planSlots([undefined], placesOf([9], [0, 1]), 'cpu', cpus)].flat();
  t.deepEqual(
    first.map((slot) => slot.premap),
    [true, true, false, false],
  );
  t.false(second.some((slot) => slot.premap));
  t.true([...planSlots([undefined], placesOf([1, 2], [0]), 'each', new Set())].flat().every((slot) => slot.premap));
});
