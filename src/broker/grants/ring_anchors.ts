import { EventFlag } from '../../model/event_flags.js';
import { PERF_TYPE, type EventFields } from '../../model/events/event_fields.js';
import type { Fd, LaneUser } from '../../native.js';
import { LANES, type Lanes } from './lanes.js';

/** PERF_COUNT_SW_DUMMY */
const DUMMY = 9n;
/** Flags that an event which is never enabled does not need, and flags that would make more than one event of it. */
const DROPPED =
  EventFlag.inherit |
  EventFlag.inheritStat |
  EventFlag.inheritThread |
  EventFlag.pinned |
  EventFlag.enableOnExec |
  EventFlag.removeOnExec;

/**
 * Until Linux 6.18 a ring can be mapped through any event whose output was redirected to it, charged to no user. It then lives on when the
 * event it was made for has lost it, and that event looks as if the ring were gone. So each ring that is mapped in advance gets an anchor:
 * an event that only the broker has, redirected to the ring for good. While the ring is mapped anywhere, the anchor has it
 * (ring_buffer_attach and perf_mmap_close, kernel/events/core.c).
 */
export class RingAnchors {
  readonly #lanes: Pick<Lanes, 'keepRings'>;
  #needed = true;
  #probed = false;

  constructor(lanes: Pick<Lanes, 'keepRings'> = LANES) {
    this.#lanes = lanes;
  }

  /** False when a probe has shown that this kernel maps no ring through another event. */
  get needed(): boolean {
    return this.#needed;
  }

  /**
   * @param anchors each an event of the same thread and cpu as the ring of the same index, opened with {@link anchorFields}
   * @returns true for each that has its ring now; the thread of another may have ended
   */
  async attach(
    lane: LaneUser,
    anchors: readonly Fd[],
    rings: readonly Fd[],
    pages: number,
  ): Promise<readonly boolean[]> {
    const { mapsRedirected, kept } = await this.#lanes.keepRings(lane, anchors, rings, this.#probed ? null : pages);
    if (mapsRedirected !== null) {
      this.#needed = mapsRedirected;
      this.#probed = true;
    }
    return kept;
  }
}

/**
 * Fields of an anchor. It has the kind and clock of the event: before Linux 6.2 an event with another context cannot share the ring of a
 * thread.
 */
export function anchorFields(event: EventFields): EventFields {
  const flags = event.flags & ~DROPPED;
  // A processor has four breakpoints: the anchor must not take one.
  return event.type === PERF_TYPE.breakpoint
    ? { ...event, type: PERF_TYPE.software, config: DUMMY, config1: 0n, config2: 0n, bpType: 0, flags }
    : { ...event, flags };
}
