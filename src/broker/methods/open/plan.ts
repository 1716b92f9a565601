/** Plans the slots (thread, cpu, event) of a request, and the messages to the opener that they go into. */
import type { PinnedTarget } from '../../processes/targets.js';
import { MAX_SLOTS, NO_LEADER, type OpenerSlot } from '../../ipc/opener_protocol.js';

export type RingSlots = 'none' | 'each' | 'cpu';

/** Fds that a request is going to open. Threads can start and end before it does. */
export function countFds(targets: readonly PinnedTarget[], events: number, cpus: number): number {
  let tasks = 0;
  for (const target of targets) tasks += target.kind === 'process' && target.tid === null ? target.process.threads : 1;
  return tasks * events * cpus;
}

/** A thread, or -1 for system and cgroup targets, on a cpu, or -1 for any. All events of a request are opened there. */
export type Place = Pick<OpenerSlot, 'tid' | 'cpu'>;

export function placesOf(tids: readonly number[], cpus: readonly number[]): Place[] {
  return tids.flatMap((tid) => cpus.map((cpu) => ({ tid, cpu })));
}

/**
 * The slots of one target, in messages of at most 253: place by place, all events of a place together, so that a group stays in one
 * message. Each message is planned when it is asked for: the cpus that have a ring depend on the messages before it.
 * @param leaders for each of the 1 to 16 events: the index of the event that leads its group, or undefined
 * @param rings slots whose ring is mapped in advance: none, each, or the first slot of every cpu
 * @param cpusWithRing cpus that have a ring already, over all targets of the request; cpus are added to it
 */
export function* planSlots(
  leaders: readonly (number | undefined)[],
  places: readonly Place[],
  rings: RingSlots,
  cpusWithRing: Set<number>,
): Generator<OpenerSlot[]> {
  const placesPerMessage = Math.floor(MAX_SLOTS / leaders.length);
  for (let start = 0; start < places.length; start += placesPerMessage) {
    const slots: OpenerSlot[] = [];
    for (const { tid, cpu } of places.slice(start, start + placesPerMessage)) {
      const first = slots.length;
      for (const [event, leader] of leaders.entries()) {
        const premap = rings === 'each' || (rings === 'cpu' && !cpusWithRing.has(cpu));
        if (premap) cpusWithRing.add(cpu);
        slots.push({ tid, cpu, event, leader: leader === undefined ? NO_LEADER : first + leader, premap });
      }
    }
    yield slots;
  }
}
