/**
 * Operations of the broker on event fds. A client can make each of them hang, so they run in the lane of its user (see native.ts). A lane
 * keeps the order: fds that are closed in the same lane stay open until earlier operations are done.
 */
import { native, type Fd, type LaneUser } from '../../native.js';

export interface DisableProgress {
  readonly disabled: number;
  /** Events that the kernel has yet to disable. */
  readonly pending: number;
}

export interface Disabling {
  readonly done: Promise<void>;
  readonly progress: () => DisableProgress;
}

/** Answer to a request to anchor rings, and to the probe that came with it. */
export interface KeptRings {
  /** The kernel maps a ring through another event that is redirected to it. Null: there was no probe. */
  readonly mapsRedirected: boolean | null;
  /** True for each anchor that has its ring now. */
  readonly kept: readonly boolean[];
}

export interface Lanes {
  /** Owns the fds; resolves when they are closed, and every earlier operation of this lane is done. */
  readonly close: (lane: LaneUser, fds: readonly Fd[]) => Promise<void>;
  readonly disable: (lane: LaneUser, fds: readonly Fd[]) => Disabling;
  /** @param probePages data pages of the rings, for a probe; null: no probe */
  readonly keepRings: (
    lane: LaneUser,
    anchors: readonly Fd[],
    rings: readonly Fd[],
    probePages: number | null,
  ) => Promise<KeptRings>;
  /** Resolves to true when the ring of any of these events is mapped in any process. */
  readonly ringsMapped: (lane: LaneUser, fds: readonly Fd[]) => Promise<boolean>;
}

export const LANES: Lanes = {
  close: (lane, fds) => new Promise((resolve) => native.closeInLane(lane, fds, resolve)),
  disable: (lane, fds) => {
    let ended = false;
    let soFar = (): number => 0;
    const done = new Promise<void>((resolve) => {
      soFar = native.disableInLane(lane, fds, () => {
        ended = true;
        resolve();
      });
    });
    const progress = (): DisableProgress => {
      const disabled = soFar();
      return { disabled, pending: ended ? 0 : fds.length - disabled };
    };
    return { done, progress };
  },
  keepRings: (lane, anchors, rings, probePages) =>
    new Promise((resolve) =>
      native.keepRingsInLane(lane, anchors, rings, probePages, ([probed = -1, ...kept]) =>
        resolve({ mapsRedirected: probed < 0 ? null : probed === 1, kept: kept.map((each) => each === 1) }),
      ),
    ),
  ringsMapped: (lane, fds) =>
    new Promise((resolve) => native.ringsMappedInLane(lane, fds, ([mapped]) => resolve(mapped === 1))),
};
