/**
 * The whole native surface. This is the only file that loads the addon; everything here is a thin, typed wrapper
 * around one system call or one native object. Decisions live in TypeScript, never in the addon.
 *
 * Every function that fails throws a {@link NativeError}: `errno` is positive, `code` its name (`'EACCES'`),
 * `syscall` what was called. Arguments are strict: what is not an integer in range, a Uint8Array, ... is a TypeError, and
 * nothing was done. Every fd that comes back has FD_CLOEXEC and is owned by the caller.
 */
import { createRequire } from 'node:module';

/** Any file descriptor number of this process. Ownership is in the name of what takes it: `…Consume` closes it. */
export type Fd = number;

/** Key of a lane: a uid, or a negative number. Operations of different keys never wait for each other. */
export type LaneUser = number;
/** The lane of what no client of this process can make hang. */
export const OWN_LANE = -1;

export interface NativeError extends Error {
  readonly errno: number;
  readonly code: string;
  readonly syscall: string;
}

/** The process at the other end of an AF_UNIX stream socket as of connect(2), as reported by the kernel. */
export interface PeerIds {
  /** In this process's pid namespace; 0 when the peer lives outside of it. */
  readonly pid: number;
  readonly uid: number;
}

export interface PeerCredentials extends PeerIds {
  readonly gid: number;
  /** SO_PEERGROUPS, supplementary groups. */
  readonly groups: readonly number[];
  /** SO_PEERPIDFD (Linux 6.5); `'unsupported'` on older kernels, `'reaped'` when the peer is already gone (ESRCH, EINVAL). */
  readonly pidfd: Fd | 'unsupported' | 'reaped';
}

/** One recvmsg(2). */
export interface Received {
  /** Bytes written into the buffer; 0 is end of stream (on a stream socket). */
  readonly bytes: number;
  /** Fds that came along, FD_CLOEXEC, owned by the caller. Never more than 253. */
  readonly fds: readonly Fd[];
  /** MSG_TRUNC: a datagram did not fit. MSG_CTRUNC is never reported: the fds are closed and EMSGSIZE is thrown. */
  readonly truncated: boolean;
}

/** Readiness of one fd on the event loop (uv_poll). `start` keeps the loop alive, `stop` and `close` do not. */
export interface Poller {
  /** @param events {@link READABLE}, {@link WRITABLE}, {@link DISCONNECT}, {@link HANGUP}, or several of them */
  start(events: number): void;
  stop(): void;
  /** Idempotent. The fd itself stays open: it belongs to the caller. Must come before the fd is closed. */
  close(): void;
}
export const READABLE = 1;
export const WRITABLE = 2;
/** The other end closed, or has only stopped writing. */
export const DISCONNECT = 4;
/**
 * The other end closed for good. It is libuv's name for urgent data (UV_PRIORITIZED), of which AF_UNIX has none; libuv
 * reports a hangup under any event that is watched.
 */
export const HANGUP = 8;

/** Counters of a {@link Drain} so far. */
export interface DrainStats {
  /** Bytes written to the output. */
  readonly bytes: bigint;
  /** PERF_RECORD_SAMPLE records. */
  readonly samples: bigint;
  /** Sum of the `lost` fields of PERF_RECORD_LOST and PERF_RECORD_LOST_SAMPLES. */
  readonly lost: bigint;
  /** PERF_RECORD_THROTTLE records. */
  readonly throttled: bigint;
  /** Records of every type. */
  readonly records: bigint;
  /** Times the loop woke up. */
  readonly wakeups: bigint;
  /** Rings with at least one live event. */
  readonly liveRings: number;
}

/**
 * The native drain loop: one thread, epoll over every event fd, copies records from the rings to `outputFd` in ring
 * order and ends each pass that moved something with a PERF_RECORD_FINISHED_ROUND (type 68, 8 bytes). No JavaScript
 * runs per record. Handles the wrap, PERF_RECORD_LOST, THROTTLE, watermarks and POLLHUP (an event whose task ended is
 * taken off epoll; its ring is drained a last time when its last event is gone).
 */
export interface Drain {
  /**
   * Maps a ring on `fd` (MAP_SHARED, read-write) and adds `fd` to the loop. Throws EPERM when the memlock limit forbids it.
   * @param pages data pages, a power of two
   * @returns ring index
   */
  addRing(fd: Fd, pages: number): number;
  /** Redirects `fd` into ring `ring` (PERF_EVENT_IOC_SET_OUTPUT) and adds it to the loop. The caller keeps `fd` open until stop. */
  addEvent(fd: Fd, ring: number): void;
  /** Starts the thread. `onEnd` is called once on the event loop: when every ring has lost its last event, on a write error, or after stop(). */
  start(onEnd: (error: NativeError | null, stats: DrainStats) => void): void;
  /** Drains every ring a last time, then ends; `onEnd` follows. Idempotent. */
  stop(): void;
  stats(): DrainStats;
  /** Unmaps; idempotent. Only after onEnd, or when never started: EBUSY in between. */
  close(): void;
}

/** Result of {@link Ring.read}. */
export interface RingRead {
  /** Bytes written into the buffer: whole records, in ring order. 0: nothing there now. */
  readonly bytes: number;
  /** Sum of the `lost` fields of the PERF_RECORD_LOST and PERF_RECORD_LOST_SAMPLES among them. */
  readonly lost: bigint;
  /** Every event of the ring has ended (POLLHUP), and nothing is left to read. */
  readonly ended: boolean;
}

/** One ring for JavaScript to read; the natural choice up to some thousand records a second, a {@link Drain} beyond. */
export interface Ring {
  /**
   * Readable (for a {@link Poller}) when the ring reached its watermark or an event ended. Belongs to the ring: close the
   * poller before the ring. After readiness, and before waiting again, read until `bytes` is 0.
   */
  readonly pollFd: Fd;
  /** Redirects `fd` into this ring (PERF_EVENT_IOC_SET_OUTPUT). The caller keeps `fd` open until close. */
  addEvent(fd: Fd): void;
  /**
   * Copies whole records out and returns their space to the kernel.
   * EBADMSG when the ring holds bytes that are not a record (or was opened with write_backward).
   * @param into at least 65,535 bytes, the longest record
   */
  read(into: Uint8Array): RingRead;
  /** Unmaps; idempotent. */
  close(): void;
}

/** Rights and ids as /proc or getsockopt give them; see native/addon. */
export interface NativeBinding {
  // sockets
  /**
   * socket + connect on AF_UNIX SOCK_STREAM, non-blocking afterwards, CLOEXEC. ENOENT, ECONNREFUSED, EACCES, ENAMETOOLONG;
   * EAGAIN when the backlog stays full for `waitMs` (5,000 when absent; 0: never waits, up to 60,000).
   */
  connectUnix(path: string, waitMs?: number): Fd;
  /** socket + bind + listen; non-blocking, CLOEXEC. */
  listenUnix(path: string, backlog: number): Fd;
  /**
   * Checks an fd that was inherited as a listening AF_UNIX stream socket, and makes it non-blocking and CLOEXEC. EBADF,
   * ENOTSOCK, EAFNOSUPPORT (another family), EPROTOTYPE (another type), EINVAL (it does not listen).
   */
  adoptListener(fd: Fd): void;
  /** accept4 with SOCK_CLOEXEC | SOCK_NONBLOCK; null on EAGAIN and on connections that were aborted meanwhile. */
  accept(listener: Fd): Fd | null;
  /** type: 'stream' | 'seqpacket'; both ends CLOEXEC and non-blocking. */
  socketPair(type: 'stream' | 'seqpacket'): readonly [Fd, Fd];
  /** A seqpacket pair for one request to a helper process: our end is non-blocking, the worker's is not; both CLOEXEC. */
  workerChannel(): readonly [ours: Fd, theirs: Fd];
  /** SO_PEERCRED alone, in constant time for any peer. ENOTCONN without a peer. */
  peerIds(socket: Fd): PeerIds;
  /** Takes longer the more groups the peer has. */
  peerCredentials(socket: Fd): PeerCredentials;
  /** One sendmsg with MSG_NOSIGNAL | MSG_DONTWAIT. Fds go with the first byte; at most 253. null on EAGAIN (nothing was sent). ETOOMANYREFS, EPIPE and (once, when the peer left something unread) ECONNRESET throw. */
  sendMessage(socket: Fd, data: Uint8Array, fds: readonly Fd[]): number | null;
  /** One recvmsg with MSG_CMSG_CLOEXEC | MSG_DONTWAIT. null on EAGAIN. */
  receiveMessage(socket: Fd, into: Uint8Array): Received | null;
  /** SIOCOUTQ: kernel memory, bytes, of what was sent on a stream socket and not yet read; 0 exactly when the peer has read all of it. */
  unreadBytes(socket: Fd): number;
  /** shutdown(SHUT_RDWR); errors are ignored. */
  shutdown(socket: Fd): void;
  /** shutdown(SHUT_WR): the peer reads what is there, then the end of the stream. Errors are ignored. */
  endWriting(socket: Fd): void;
  // datagrams
  /** AF_UNIX SOCK_DGRAM without a name, non-blocking, CLOEXEC. */
  datagramSocket(): Fd;
  /**
   * One sendto(2) to a path, or to an abstract name (`@name`): all of it or an error. EAGAIN when its reader is behind,
   * EMSGSIZE when it is longer than the socket's send buffer (kernel memory: about net.core.wmem_default), ENOENT,
   * ECONNREFUSED when no process reads there.
   */
  sendDatagram(socket: Fd, name: string, data: Uint8Array): void;
  /**
   * Sends an empty datagram with a file in memory (memfd_create(2)) that holds `data` and is sealed against every change:
   * journald's form of an entry of any length. Errors as {@link sendDatagram}, except for EMSGSIZE.
   */
  sendSealedFile(socket: Fd, name: string, data: Uint8Array): void;
  // fds
  /** close(2). EBADF throws: it is always a bug. */
  close(fd: Fd): void;
  /**
   * Closes fds that a client sent and that may be anything, in the lane of that client. A few pidfds are closed at once. Each of the others
   * counts in {@link foreignFds} until it is closed.
   */
  closeForeign(user: LaneUser, fds: readonly Fd[]): void;
  /** Shuts down a connected AF_UNIX socket and drops its unread messages up to the first one with fds. The socket stays open. */
  endConnection(socket: Fd): void;
  /**
   * {@link endConnection}, and close(2). When there are unread fds, the socket counts in {@link foreignFds} until it is closed in the
   * lane. Where sockets pile up behind an operation that hangs, they are closed beside it, so that they do not use up fd numbers.
   */
  closeConnection(user: LaneUser, socket: Fd): void;
  // lanes: operations that a client can make hang, on threads of their own; those of one user run in order, one at a time.
  // A number that is closed in a lane stays in use until then. No lane keeps the event loop alive.
  /** Owns the fds. Every fd that is open is closed, then EBADF throws for the others: it is always a bug. */
  closeInLane(user: LaneUser, fds: readonly Fd[], onDone: (() => void) | null): void;
  /**
   * PERF_EVENT_IOC_DISABLE. The fds have to stay open until then: close them in the same lane.
   * @param onDone called with the number of events that were disabled
   * @returns a function that returns the number of events disabled so far
   */
  disableInLane(user: LaneUser, fds: readonly Fd[], onDone: (result: readonly number[]) => void): () => number;
  /**
   * Redirects each anchor to the ring of the same index (PERF_EVENT_IOC_SET_OUTPUT).
   * @param pages probe with the first anchor whether this kernel maps a ring of `pages` data pages through it; null: do not
   * @param onDone called with the answer of the probe (1, 0, -1: there was none), then 1 or 0 for each anchor
   */
  keepRingsInLane(
    user: LaneUser,
    anchors: readonly Fd[],
    rings: readonly Fd[],
    pages: number | null,
    onDone: (result: readonly number[]) => void,
  ): void;
  /** @param onDone called with 1 when the ring of any of these events is mapped in any process, else 0 */
  ringsMappedInLane(user: LaneUser, fds: readonly Fd[], onDone: (result: readonly number[]) => void): void;
  /** Fds that this user sent and that are not closed yet. */
  foreignFds(user: LaneUser): number;
  /** Operations of all lanes that are not done. A process cannot end while one hangs, not even by SIGKILL. */
  laneOperations(): number;
  /** F_DUPFD_CLOEXEC. */
  duplicate(fd: Fd): Fd;
  /** pidfd_open(2). flags 0 or PIDFD_THREAD is refused on old kernels. ESRCH when there is no such process. */
  pidfdOpen(pid: number): Fd;
  /** kill(pidfd, 0)-free liveness: poll(2) on a pidfd; true while the process has not ended. */
  pidfdAlive(pidfd: Fd): boolean;
  // perf events (need nothing but the fd)
  perfEnable(fd: Fd): void;
  perfDisable(fd: Fd): void;
  perfReset(fd: Fd): void;
  perfId(fd: Fd): bigint;
  perfSetOutput(fd: Fd, target: Fd): void;
  /** read(2) of a counting event into u64 words, as read_format lays them out. Empty: the event is in error state (a pinned one that did not fit). */
  perfRead(fd: Fd): BigUint64Array;
  /** perf_event_open(2) with exactly these attr bytes. For collectors that may, tests and benchmarks; the broker never calls it. */
  perfEventOpen(attr: Uint8Array, pid: number, cpu: number, groupFd: Fd, flags: number): Fd;
  createPoller(fd: Fd, onReady: (status: number, events: number) => void): Poller;
  /** Records to `outputFd` (a file, pipe or socket open for writing; it is duplicated, so the offset is shared and closing is free). */
  createDrain(outputFd: Fd): Drain;
  /** Maps a ring of `pages` data pages (a power of two) on `fd`, which the caller keeps open until close. EPERM: the memlock limit. */
  createRing(fd: Fd, pages: number): Ring;
  // accounts
  /**
   * Uid of a user name, from any source of nsswitch.conf(5); null when there is no such user. Blocks until the source answers,
   * so it is for the start and for the loading of a policy. An empty name, or one with NUL, is a TypeError.
   */
  userId(name: string): number | null;
  /** Gid of a group name; otherwise like {@link userId}. ERANGE when the entry is longer than 16 MiB. */
  groupId(name: string): number | null;
  // this process
  /** Monotonic clock, nanoseconds. clock: CLOCK_* number. */
  clockNanoseconds(clock: number): bigint;
  /** PR_SET_DUMPABLE 0: no core dumps, and no other process without CAP_SYS_PTRACE may read or write its memory. */
  makeUndumpable(): void;
}

const require = createRequire(import.meta.url);
export const native: NativeBinding = require('./native/perfbroker.node') as NativeBinding;
