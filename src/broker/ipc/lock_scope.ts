/** Targets whose lock can keep a request to a helper process waiting, and the user whose processes can hold that lock. */
export interface LockScope {
  /** A process by pid and start time, or cpus. They are named in errors. */
  readonly targets: readonly string[];
  /** SubordinateUids.userOf the target process; {@link NO_OWNER} for cpus. */
  readonly owner: number;
}

/** Owner of cpus. No uid is negative, and SHARED_USER is -2. */
export const NO_OWNER = -1;

/** For a request that waits for no task and no cpu. */
export const NO_LOCK: LockScope = { targets: [], owner: NO_OWNER };
