/** Who asks: the process at the other end of the socket, by the kernel's word. */
export interface Subject {
  readonly pid: number;
  readonly startTime: bigint;
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups (SO_PEERGROUPS), gid included or not as the kernel gives it. */
  readonly groups: readonly number[];
  /** Permitted capabilities of the process, bits. */
  readonly permitted: bigint;
  readonly sameUserNamespace: boolean;
  /**
   * Its user may act under other ids and without its groups: the process is in a user namespace of its own, or its uid is
   * one that subuid(5) lends. Taken from `SubordinateUids.mayBeMany` when the client was vetted.
   */
  readonly mayBeMany: boolean;
  /**
   * The process has the ids of the connection: each of its uids and gids, and the same set of supplementary groups. False for a
   * setuid or setgid program, after a change of ids, and for a process that connected with borrowed credentials.
   */
  readonly asConnected: boolean;
  /** Each uid and gid of the process is that of the connection. Unlike {@link asConnected}, this says nothing about its groups. */
  readonly ownIds: boolean;
  /** Without it the permitted capabilities count as none: a setuid program may have taken over the connection. */
  readonly dumpable: boolean;
  /** systemd unit from the cgroup path (`foo.service`, `session-1.scope`), when there is one. */
  readonly unit?: string;
  readonly cgroup: string;
  readonly executable: string;
}

export const CAP_SYS_ADMIN = 21n;
export const CAP_PERFMON = 38n;

/**
 * uid 0 in the broker's user namespace with CAP_PERFMON or CAP_SYS_ADMIN permitted: could do by itself whatever the
 * broker can do for it. Root in a container without those capabilities is not an administrator.
 */
export function isAdministrator(subject: Subject): boolean {
  return (
    subject.uid === 0 &&
    subject.sameUserNamespace &&
    (((subject.permitted >> CAP_SYS_ADMIN) | (subject.permitted >> CAP_PERFMON)) & 1n) === 1n
  );
}
