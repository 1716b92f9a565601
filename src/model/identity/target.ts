/** What is observed. */

/** Kernel ids of a task: real, effective, saved. */
export type IdTriple = readonly [real: number, effective: number, saved: number];

/** What the broker saw of a process when it decided; sent to the opener, which compares before and after the open. */
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
  /** True when /proc/PID/uid_map equals this process's own: taken as the same user namespace. */
  readonly sameUserNamespace: boolean;
  /** /proc/PID/exe where readable, else comm in square brackets. For rules and the audit log. */
  readonly executable: string;
  readonly cgroup: string;
}

/** A target after vetting, as policy sees it. */
export type Target =
  | { readonly kind: 'process'; readonly process: ProcessIdentity; readonly threads: 'one' | 'all' }
  | { readonly kind: 'system' }
  | { readonly kind: 'cgroup'; readonly path: string };
