/**
 * The JSON forms of org.perfbroker.Broker, one type for each in the interface definition.
 * Made from it: after a change there, run test/interfaces/broker_types.test.ts with UPDATE_TYPES=1.
 */

/**
 * Source of an event. `kind` determines the other fields: software and hardware: name; cache: cache, operation,
 * result; raw: config*; tracepoint: name ("sched:sched_switch") or id; pmu: pmu (or pmuType) and config*; breakpoint:
 * access, address, length. 64-bit fields are strings, decimal or 0x-prefixed.
 */
export interface Source {
  readonly kind: 'software' | 'hardware' | 'cache' | 'raw' | 'tracepoint' | 'pmu' | 'breakpoint';
  readonly name?: string;
  readonly cache?: string;
  readonly operation?: string;
  readonly result?: string;
  readonly pmu?: string;
  readonly pmuType?: number;
  readonly id?: number;
  readonly config?: string;
  readonly config1?: string;
  readonly config2?: string;
  readonly config3?: string;
  readonly access?: string;
  readonly address?: string;
  readonly length?: number;
}

/**
 * Exactly one of: period, the number of events per sample; frequency, the samples per second (Hz).
 */
export interface Sampling {
  readonly period?: number;
  readonly frequency?: number;
}

/**
 * Exactly one of: events, the number of samples after which the reader wakes up; bytes, the same in bytes of the ring.
 */
export interface Wakeup {
  readonly events?: number;
  readonly bytes?: number;
}

/**
 * One event: the typed fields (source and others), or only `attr`, the base64 bytes of a struct perf_event_attr.
 * Both forms may have `leader`, the index of an earlier event, which leads the group.
 * Events are always opened disabled: enable them with PERF_EVENT_IOC_ENABLE, or set enableOnExec.
 */
export interface Event {
  readonly attr?: string;
  readonly source?: Source;
  readonly exclude?: readonly string[];
  readonly sampling?: Sampling;
  readonly sampleType?: readonly string[];
  readonly readFormat?: readonly string[];
  readonly records?: readonly string[];
  readonly sampleIdAll?: boolean;
  readonly inherit?: boolean;
  readonly inheritStat?: boolean;
  readonly inheritThread?: boolean;
  readonly pinned?: boolean;
  readonly exclusive?: boolean;
  readonly enableOnExec?: boolean;
  readonly removeOnExec?: boolean;
  readonly writeBackward?: boolean;
  readonly preciseIp?: number;
  readonly wakeup?: Wakeup;
  readonly clock?: string;
  readonly branch?: readonly string[];
  readonly regsUser?: string;
  readonly regsIntr?: string;
  readonly stackUser?: number;
  readonly maxStack?: number;
  readonly leader?: number;
}

/**
 * process: pid (a number in the caller's pid namespace) or pidfd (fd index); threads "all" (the default) attaches to
 * every thread, "leader" to the thread whose tid is the pid; tid selects one thread. cgroup: directory (fd index).
 */
export interface Target {
  readonly kind: 'process' | 'system' | 'cgroup';
  readonly pid?: number;
  readonly pidfd?: number;
  readonly tid?: number;
  readonly threads?: 'leader' | 'all';
  readonly directory?: number;
}

/**
 * One opened event. fd is an index into the fds of this message; event and target are indexes into the lists of the request.
 * tid is -1 for system and cgroup targets, cpu is -1 for any cpu. Ids refer to the broker's pid namespace.
 */
export interface Slot {
  readonly fd: number;
  readonly event: number;
  readonly target: number;
  readonly tid: number;
  readonly cpu: number;
}

export interface Limits {
  readonly frequency: number;
  readonly minPeriod: number;
  readonly ringBytes: number;
  readonly fds: number;
  readonly grants: number;
  readonly leaseSeconds: number;
  readonly stackBytes: number;
}

export interface Reason {
  readonly code: string;
  readonly text: string;
  readonly rule?: string;
}

/**
 * A decision of the policy. verdict ask: the policy requires authorization. actions: the polkit actions that must all be
 * authorized, strongest first. reasons: why no rule allows the request without authorization.
 */
export interface Decision {
  readonly verdict: 'allow' | 'deny' | 'ask';
  readonly rule?: string;
  readonly where?: string;
  readonly classes: readonly string[];
  readonly reasons: readonly Reason[];
  readonly limits?: Limits;
  readonly actions?: readonly string[];
}

export interface Pmu {
  readonly name: string;
  readonly type: number;
}

export interface Caller {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  readonly administrator: boolean;
  readonly unit?: string;
}

export interface Grant {
  readonly id: string;
  readonly uid: number;
  readonly pid: number;
  readonly executable: string;
  readonly targets: readonly string[];
  readonly events: number;
  readonly fds: number;
  readonly ringBytes: number;
  readonly rule: string;
  readonly ageSeconds: number;
  readonly leaseSeconds: number;
}

/**
 * The caller that the bus reported to the D-Bus front end: uid from GetConnectionUnixUser, pidfd (fd index) of its process,
 * busName ":1.42". Only the user of the front end may send a sender; from any other client it is an error.
 */
export interface Sender {
  readonly uid: number;
  readonly pidfd: number;
  readonly busName: string;
}

/**
 * Capabilities that an Open removes from its target before it hands the events over; see Downgrade.
 */
export interface DowngradeOrder {
  readonly drop: readonly string[];
  readonly noNewPrivs?: boolean;
}

/**
 * Hexadecimal, 16 digits, as in /proc/PID/status.
 */
export interface CapabilitySets {
  readonly inheritable: string;
  readonly permitted: string;
  readonly effective: string;
  readonly bounding: string;
  readonly ambient: string;
}

/**
 * errno: the error of this thread; 0: none.
 */
export interface DowngradedThread {
  readonly tid: number;
  readonly name: string;
  readonly errno: number;
  readonly noNewPrivs: boolean;
  readonly had: CapabilitySets;
  readonly has: CapabilitySets;
}

/**
 * stoppedMicroseconds: from the stop of the first thread until the last thread continued.
 */
export interface DowngradedProcess {
  readonly pid: number;
  readonly executable: string;
  readonly stoppedMicroseconds: number;
  readonly threads: readonly DowngradedThread[];
}

/**
 * Returns versions, the perf_event_paranoid level and the capability that it requires, ceiling, PMUs, and the caller as identified
 * by the broker.
 */
export type DescribeParameters = Record<string, never>;

export interface DescribeReply {
  readonly version: string;
  readonly kernel: string;
  readonly paranoid: number;
  readonly capability: string;
  readonly ceiling: readonly string[];
  readonly pmus: readonly Pmu[];
  readonly tracepoints: number;
  readonly onlineCpus: readonly number[];
  readonly maxSampleRate: number;
  readonly policy: readonly string[];
  readonly caller: Caller;
  readonly rules: readonly string[];
}

/**
 * Opens every event on every target (and cpu). cpus absent: one fd per thread on any cpu (for system and cgroup
 * targets: every online cpu). ringBytes: size in bytes of each data ring that the caller is going to map, on `ringSlots`: "none",
 * "each" slot, or the first slot of every "cpu" (the caller redirects the others there with PERF_EVENT_IOC_SET_OUTPUT).
 * The broker maps the rings in advance, so the caller's RLIMIT_MEMLOCK does not matter; the caller reports its own mappings
 * with Mapped. More than 253 fds require `more`: each reply then has a part of the slots; `continues` is false in the last.
 * unstable: new threads were still appearing when the broker stopped scanning for them.
 * downgrade: the request must name one whole process. The fds are handed over after it has lost these capabilities in all its
 * threads, and not at all if that fails. The (first) reply then lists the capabilities that were removed.
 */
export interface OpenParameters {
  readonly targets: readonly Target[];
  readonly events: readonly Event[];
  readonly cpus?: readonly number[];
  readonly ringBytes?: number;
  readonly ringSlots?: 'none' | 'each' | 'cpu';
  readonly leaseSeconds?: number;
  readonly allowInteractive?: boolean;
  readonly downgrade?: DowngradeOrder;
}

export interface OpenReply {
  readonly grant: string;
  readonly slots: readonly Slot[];
  readonly unstable: boolean;
  readonly leaseSeconds: number;
  readonly downgraded?: DowngradedProcess;
}

/**
 * Returns the decision about an Open and opens nothing.
 */
export interface ExplainParameters {
  readonly targets: readonly Target[];
  readonly events: readonly Event[];
  readonly cpus?: readonly number[];
  readonly ringBytes?: number;
  readonly ringSlots?: 'none' | 'each' | 'cpu';
  readonly leaseSeconds?: number;
  readonly allowInteractive?: boolean;
  readonly sender?: Sender;
}

export interface ExplainReply {
  readonly decision: Decision;
}

/**
 * For the D-Bus front end: decides an Open for `sender`, requests authorization where the policy requires it, and keeps the
 * request and its pinned targets for `expiresSeconds`. Opens nothing. The sender redeems the ticket over its own connection.
 */
export interface PrepareOpenParameters {
  readonly targets: readonly Target[];
  readonly events: readonly Event[];
  readonly cpus?: readonly number[];
  readonly ringBytes?: number;
  readonly ringSlots?: 'none' | 'each' | 'cpu';
  readonly leaseSeconds?: number;
  readonly allowInteractive?: boolean;
  readonly downgrade?: DowngradeOrder;
  readonly sender: Sender;
}

export interface PrepareOpenReply {
  readonly ticket: string;
  readonly expiresSeconds: number;
  readonly decision: Decision;
}

/**
 * PrepareOpen for a Downgrade.
 */
export interface PrepareDowngradeParameters {
  readonly target: Target;
  readonly drop: readonly string[];
  readonly noNewPrivs?: boolean;
  readonly children?: boolean;
  readonly dryRun?: boolean;
  readonly deadlineMs?: number;
  readonly allowInteractive?: boolean;
  readonly sender: Sender;
}

export interface PrepareDowngradeReply {
  readonly ticket: string;
  readonly expiresSeconds: number;
  readonly decision: Decision;
}

/**
 * Performs the Open of a ticket from PrepareOpen. A ticket can be redeemed once, by the user that it was issued to. The policy
 * decides again, with the process that redeems it as the subject.
 */
export interface RedeemParameters {
  readonly ticket: string;
}

export interface RedeemReply {
  readonly grant: string;
  readonly slots: readonly Slot[];
  readonly unstable: boolean;
  readonly leaseSeconds: number;
  readonly downgraded?: DowngradedProcess;
}

/**
 * Performs the Downgrade of a ticket from PrepareDowngrade.
 */
export interface RedeemDowngradeParameters {
  readonly ticket: string;
}

export interface RedeemDowngradeReply {
  readonly processes: readonly DowngradedProcess[];
}

/**
 * Reports that the caller has mapped the rings of a grant: the broker unmaps its own mappings.
 */
export interface MappedParameters {
  readonly grant: string;
}

export type MappedReply = Record<string, never>;

/**
 * Returns the caller's own grants; with all, the grants of all users: for administrators, also those that polkit authorizes.
 */
export interface ListGrantsParameters {
  readonly all?: boolean;
  readonly allowInteractive?: boolean;
  readonly sender?: Sender;
}

export interface ListGrantsReply {
  readonly grants: readonly Grant[];
}

/**
 * Requires `more`. Reports the existing grants (change "present"), then each grant that begins ("added") or ends ("removed",
 * with the reason: connection, lease, target, revoked, shutdown) until the caller disconnects. If there are no grants, the
 * first reply has no `grant`. all: the grants of all users, for administrators and the front end; polkit is not asked.
 */
export interface WatchGrantsParameters {
  readonly all?: boolean;
}

export interface WatchGrantsReply {
  readonly change: 'present' | 'added' | 'removed';
  readonly grant?: Grant;
  readonly reason?: string;
}

/**
 * Ends a grant: the broker disables the events through its own fds and closes these. A holder keeps its fds and can enable the
 * events again: `kept` is a text that says so, `fds` the number of fds that were handed over.
 */
export interface RevokeParameters {
  readonly grant: string;
  readonly allowInteractive?: boolean;
  readonly sender?: Sender;
}

export interface RevokeReply {
  readonly fds: number;
  readonly disabled: number;
  readonly kept: string;
}

/**
 * Removes capabilities from all threads of a live process, irrevocably: from the effective, permitted, inheritable and
 * ambient sets. drop: names such as CAP_PERFMON, or "all". noNewPrivs: also prevents execve(2) from restoring them; without it,
 * root can regain all of them by executing a program, because the bounding set is not changed. children: includes descendants
 * of the same user. dryRun: changes nothing, reports what would happen and what would prevent it. deadlineMs: limit of the time
 * that the target may be stopped before its first thread is changed (1 to 100, for administrators up to 10000; default 100);
 * after that the target continues unchanged.
 */
export interface DowngradeParameters {
  readonly target: Target;
  readonly drop: readonly string[];
  readonly noNewPrivs?: boolean;
  readonly children?: boolean;
  readonly dryRun?: boolean;
  readonly deadlineMs?: number;
  readonly allowInteractive?: boolean;
}

export interface DowngradeReply {
  readonly processes: readonly DowngradedProcess[];
}

/**
 * All errors have the same parameters. code is stable; errno comes from the kernel (0: there was none).
 */
export interface PolicyDeniedError {
  readonly code: string;
  readonly message: string;
  readonly errno: number;
  readonly cause: string;
  readonly remedy: string;
  readonly reasons: readonly Reason[];
}

export interface CeilingExceededError {
  readonly code: string;
  readonly message: string;
  readonly errno: number;
  readonly cause: string;
  readonly remedy: string;
}

export interface InvalidEventError {
  readonly code: string;
  readonly message: string;
  readonly errno: number;
  readonly cause: string;
  readonly remedy: string;
}

export interface InvalidTargetError {
  readonly code: string;
  readonly message: string;
  readonly errno: number;
  readonly cause: string;
  readonly remedy: string;
}

export interface TargetGoneError {
  readonly code: string;
  readonly message: string;
  readonly errno: number;
  readonly cause: string;
  readonly remedy: string;
}

export interface TargetChangedError {
  readonly code: string;
  readonly message: string;
  readonly errno: number;
  readonly cause: string;
  readonly remedy: string;
}

export interface QuotaExceededError {
  readonly code: string;
  readonly message: string;
  readonly errno: number;
  readonly cause: string;
  readonly remedy: string;
}

export interface RateLimitedError {
  readonly code: string;
  readonly message: string;
  readonly errno: number;
  readonly cause: string;
  readonly remedy: string;
}

export interface KernelRefusedError {
  readonly code: string;
  readonly message: string;
  readonly errno: number;
  readonly cause: string;
  readonly remedy: string;
}

export interface DowngradeRefusedError {
  readonly code: string;
  readonly message: string;
  readonly errno: number;
  readonly cause: string;
  readonly remedy: string;
}

export interface DowngradeFailedError {
  readonly code: string;
  readonly message: string;
  readonly errno: number;
  readonly cause: string;
  readonly remedy: string;
  readonly processes: readonly DowngradedProcess[];
}

export interface NoSuchGrantError {
  readonly code: string;
  readonly message: string;
  readonly errno: number;
  readonly cause: string;
  readonly remedy: string;
}

export interface UnexpectedFdsError {
  readonly code: string;
  readonly message: string;
  readonly errno: number;
  readonly cause: string;
  readonly remedy: string;
}

export interface AuditFailedError {
  readonly code: string;
  readonly message: string;
  readonly errno: number;
  readonly cause: string;
  readonly remedy: string;
}

export interface UnavailableError {
  readonly code: string;
  readonly message: string;
  readonly errno: number;
  readonly cause: string;
  readonly remedy: string;
}
