import { EventFlag } from '../../model/event_flags.js';
import { PERF_TYPE, type EventFields } from '../../model/events/event_fields.js';
import type { Fd, LaneUser } from '../../native.js';
import { LANES, type Lanes } from './lanes.js';

/** PERF_COUNT_SW_DUMMY */
const DUMMY = 9n;
/** What an event that is never enabled does not need, and what would have it be more than one event. */
const DROPPED =
  EventFlag.inherit |
  EventFlag.inheritStat |
  EventFlag.inheritThread |
  EventFlag.pinned |
  EventFlag.enableOnExec |
  EventFlag.removeOnExec;

/**
 * Until Linux 6.18 a ring can be mapped through any event whose output was redirected to it, charged to nobody, and lives on
 * through that when the event it was made for has no ring any more: asked about that event, it looks as if it were gone. So each ring
 * that is mapped in advance gets an event that only the broker has, redirected to it for good: while the ring is mapped anywhere,
 * this one has it (ring_buffer_attach and perf_mmap_close, kernel/events/core.c).
 */
export class RingAnchors {
  readonly #lanes: Pick<Lanes, 'keepRings'>;
  #needed = true;
  #probed = false;

  constructor(lanes: Pick<Lanes, 'keepRings'> = LANES) {
    this.#lanes = lanes;
  }

  /** Whether this kernel lets a ring be mapped through another event, as far as is known. */
  get needed(): boolean {
    return this.#needed;
  }

  /**
   * @param anchors each an event of the same place as the ring of the same index, opened with {@link anchorFields}
   * @returns true for each that has the ring now; the place of another may belong to another process by now
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

/** Of the same kind and clock: an event with another context can not share the ring of one thread (before Linux 6.2). */
export function anchorFields(event: EventFields): EventFields {
  const flags = event.flags & ~DROPPED;
  // Processors have four breakpoints.
  return event.type === PERF_TYPE.breakpoint
    ? { ...event, type: PERF_TYPE.software, config: DUMMY, config1: 0n, config2: 0n, bpType: 0, flags }
    : { ...event, flags };
}
