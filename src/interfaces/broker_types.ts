/**
 * The JSON forms of org.perfbroker.Broker, one type for each in the interface definition.
 * Made from it: after a change there, run test/interfaces/broker_types.test.ts with UPDATE_TYPES=1.
 */

/**
 * What is counted. `kind` says which of the other fields belong: software and hardware: name; cache: cache, operation,
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
 * period: one sample per so many events. frequency: samples a second, Hz. Exactly one.
 */
export interface Sampling {
  readonly period?: number;
  readonly frequency?: number;
}

/**
 * events: wake the reader after so many samples. bytes: after so many bytes of ring. Exactly one.
 */
export interface Wakeup {
  readonly events?: number;
  readonly bytes?: number;
}

/**
 * One event: the typed fields (source and more), or `attr` alone: the base64 bytes of a struct perf_event_attr.
 * Either may carry `leader`, the index of the earlier event that leads the group.
 * Events open disabled whatever is asked: enable them with PERF_EVENT_IOC_ENABLE, or ask for enableOnExec.
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
 * every thread, "leader" to the one whose tid is the pid; tid names one thread. cgroup: directory (fd index).
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
 * One opened event. fd is the index into this message's fds; event and target are indexes into the request's lists.
 * tid is -1 for system and cgroup targets, cpu is -1 for any. Ids are of the broker's pid namespace.
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
 * What a decision was. verdict ask: the policy wants a human to be asked; actions are the polkit actions that all have to
 * be authorized, the strongest first, and reasons say why no rule allows the request without asking.
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
 * The caller that the bus named to the D-Bus front end: uid by GetConnectionUnixUser, pidfd (fd index) of its process,
 * busName ":1.42". Only the front end's user may send one; of anybody else it is an error.
 */
export interface Sender {
  readonly uid: number;
  readonly pidfd: number;
  readonly busName: string;
}

/**
 * What is taken from the target of an Open before its events are handed over; as in Downgrade.
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
 * errno: what failed in this thread; 0: nothing did.
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
 * stoppedMicroseconds: from the stop of the first thread until the last one went on.
 */
export interface DowngradedProcess {
  readonly pid: number;
  readonly executable: string;
  readonly stoppedMicroseconds: number;
  readonly threads: readonly DowngradedThread[];
}

/**
 * Versions, kernel level and the capability it demands, ceiling, PMUs, and who the broker takes the caller for.
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
 * targets: every online cpu). ringBytes: bytes of data ring that the caller is going to map, on `ringSlots`: "none",
 * "each" slot, or the first slot of every "cpu" (the rest redirected there with PERF_EVENT_IOC_SET_OUTPUT); the
 * broker maps them in advance, so that RLIMIT_MEMLOCK does not matter to the caller; say Mapped when done.
 * More than 253 fds need `more`: each reply then carries a part of the slots; `continues` is false in the last.
 * unstable: threads were still being born when the attach gave up rescanning.
 * downgrade: the request names one whole process; the fds are handed over when it has lost these capabilities in all its
 * threads, and not at all when that fails. The reply (the first one, of several) then carries what was taken.
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
 * The same request, decision only.
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
 * For the D-Bus front end: decides an Open for `sender`, asks a human where the policy says so, and keeps the request, its
 * targets pinned, for `expiresSeconds`. Opens nothing. The sender redeems the ticket over a connection of its own.
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
 * The same for a Downgrade.
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
 * Carries out what a ticket of PrepareOpen stands for; as Open. A ticket is good once, for the user it was made for; the
 * policy is asked again, with whoever redeems it as the subject.
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
 * The same for PrepareDowngrade.
 */
export interface RedeemDowngradeParameters {
  readonly ticket: string;
}

export interface RedeemDowngradeReply {
  readonly processes: readonly DowngradedProcess[];
}

/**
 * The caller has mapped the rings of a grant: the broker lets go of its own mappings.
 */
export interface MappedParameters {
  readonly grant: string;
}

export type MappedReply = Record<string, never>;

/**
 * The caller's own grants; with all, everyone's: administrators only, and who polkit takes for one.
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
 * Call with `more`: first the grants there are (change "present"), then every one that begins ("added") or ends ("removed",
 * with the reason: connection, lease, target, revoked, shutdown) until the caller hangs up. An empty list is a
 * first reply without `grant`. all: everyone's, for administrators and the front end; polkit is not asked.
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
 * Ends a grant: the broker disables the events through the fds it kept and closes them. A holder keeps the fds it was
 * given and can enable them again: `kept` says so in words, `fds` how many were handed over.
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
 * Takes capabilities from a live process in all its threads, for good: out of the effective, permitted, inheritable and
 * ambient sets. drop: names as CAP_PERFMON, or "all". noNewPrivs: besides, execve(2) gives nothing back; without it the
 * bounding set, which is left alone, lets root regain everything by executing a program. children: its descendants of the same
 * user, too. dryRun: what would be, and what stands against it. deadlineMs: how long the target may stand still
 * before its first thread is changed (1 to 100, for an administrator to 10000; by default 100); then everything goes on as it was.
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
 * Every error carries the same parameters. code is stable; errno is the kernel's (0 when there was none).
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
