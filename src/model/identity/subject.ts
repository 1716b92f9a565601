/** The caller: the process at the other end of the socket, as reported by the kernel. */
export interface Subject {
  readonly pid: number;
  readonly startTime: bigint;
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups (SO_PEERGROUPS), with or without gid, as the kernel reports them. */
  readonly groups: readonly number[];
  /** Permitted capabilities of the process, bits. */
  readonly permitted: bigint;
  readonly sameUserNamespace: boolean;
  /**
   * Its user may also act under other ids and without its groups: the process is in a user namespace of its own, or subuid(5)
   * lends its uid. From `SubordinateUids.mayBeMany`.
   */
  readonly mayBeMany: boolean;
  /**
   * The process has the ids of the connection: each of its uids and gids, and the same set of supplementary groups. False for a
   * setuid or setgid program, after a change of ids, and for a process that connected with borrowed credentials.
   */
  readonly asConnected: boolean;
  /** Each uid and gid of the process is that of the connection. Unlike {@link asConnected}, this says nothing about its groups. */
  readonly ownIds: boolean;
  /** Without it the permitted capabilities count as none: a setuid program may hold the connection now. */
  readonly dumpable: boolean;
  /** systemd unit from the cgroup path (`foo.service`, `session-1.scope`), when there is one. */
  readonly unit?: string;
  readonly cgroup: string;
  readonly executable: string;
}

export const CAP_SYS_ADMIN = 21n;
export const CAP_PERFMON = 38n;

/**
 * @returns whether the subject is uid 0 in the broker's user namespace with CAP_PERFMON or CAP_SYS_ADMIN permitted: it could open
 * every event without the broker. Root in a container without these capabilities is not an administrator.
 */
export function isAdministrator(subject: Subject): boolean {
  return (
    subject.uid === 0 &&
    subject.sameUserNamespace &&
    (((subject.permitted >> CAP_SYS_ADMIN) | (subject.permitted >> CAP_PERFMON)) & 1n) === 1n
  );
}
