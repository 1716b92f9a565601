/** Targets of a request. */

/** Kernel ids of a task: real, effective, saved. */
export type IdTriple = readonly [real: number, effective: number, saved: number];

/** Facts of a process at the time of the decision. The opener compares them before and after it opens events. */
export interface ProcessIdentity {
  /** In the broker's pid namespace. */
  readonly pid: number;
  /** Clock ticks since boot (proc(5), field 22 of stat). */
  readonly startTime: bigint;
  readonly uids: IdTriple;
  readonly gids: IdTriple;
  /** Permitted capabilities, bits. */
  readonly permitted: bigint;
  readonly dumpable: boolean;
  /** /proc/PID/uid_map equals the broker's own, which counts as the same user namespace. */
  readonly sameUserNamespace: boolean;
  /** /proc/PID/exe if it is readable, otherwise comm in square brackets. For rules and the audit log. */
  readonly executable: string;
  readonly cgroup: string;
}

/** Vetted target, for the policy. */
export type Target =
  | { readonly kind: 'process'; readonly process: ProcessIdentity; readonly threads: 'one' | 'all' }
  | { readonly kind: 'system' }
  | { readonly kind: 'cgroup'; readonly path: string };
