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

/**
 * The slots of one target, in messages of at most 253: place by place (thread, then cpu), all events of a place
 * together, so that a group stays in one message.
 * @param leaders for each of the 1 to 16 events: the index of the event that leads its group, or undefined
 * @param tids threads, or [-1] for system and cgroup targets
 * @param cpus cpus, or [-1] for any
 * @param rings slots whose ring is mapped in advance: none, each, or the first slot of every cpu
 * @param cpusWithRing cpus that have a ring already, over all targets of the request; cpus are added to it
 */
export function planSlots(
  leaders: readonly (number | undefined)[],
  tids: readonly number[],
  cpus: readonly number[],
  rings: RingSlots,
  cpusWithRing: Set<number>,
): OpenerSlot[][] {
  const placesPerMessage = Math.floor(MAX_SLOTS / leaders.length);
  const places = tids.flatMap((tid) => cpus.map((cpu) => ({ tid, cpu })));
  const messages: OpenerSlot[][] = [];
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
    messages.push(slots);
  }
  return messages;
}
