/**
 * Table of error codes: the stable codes of every error of org.perfbroker.Broker, each with the cause and the remedy that a
 * client receives. docs/errors.md is generated from it (errors_doc.ts). A test compares table, document and interface definition.
 */
import { BrokerError, type ErrorName } from './errors.js';
import { KERNEL_ERRORS, type KernelErrorCode } from './kernel_errors.js';

export interface ErrorText {
  /** One sentence. */
  readonly cause: string;
  /** Steps for the caller or the administrator. */
  readonly remedy: string;
}

const table = {
  PolicyDenied: {
    'no-rule': {
      cause: 'Policy: no rule allows the request, and everything is denied unless a rule allows it.',
      remedy:
        'Run `perfbroker explain` with the same request to see why each rule did not apply. Ask the administrator for a rule in /etc/perfbroker/policy.d.',
    },
    denied: {
      cause: 'Policy: the first rule that matches denies the request.',
      remedy: 'Ask the administrator for a rule in /etc/perfbroker/policy.d.',
    },
    subject: {
      cause: 'Policy: no rule names the caller (its user, groups or systemd unit).',
      remedy:
        'Ask the administrator to add the caller to a group that a rule names (perfbroker in the default policy), then log in again.',
    },
    target: {
      cause: 'Policy: the rules that name the caller do not cover this target.',
      remedy:
        'Choose a target that a rule covers, or ask the administrator for a rule in /etc/perfbroker/policy.d that covers this one.',
    },
    class: {
      cause: 'Policy: a rule matches, but it does not allow a class of events that the request needs.',
      remedy: 'Exclude the kernel (`:u`), or use a software or hardware event instead of a raw one.',
    },
    mode: {
      cause: 'Policy: a rule matches, but it does not allow the mode of the request (counting, sampling or downgrade).',
      remedy:
        'Use a mode that the rule allows (an event without period and frequency counts), or ask the administrator for a rule with this mode.',
    },
    limit: {
      cause: 'Policy: the request exceeds a limit of the rule that would allow it.',
      remedy:
        'The reason names the limit. Lower the frequency, ring, stack or lease, lengthen the period, name fewer events, threads or cpus, or ask the administrator to raise the limit.',
    },
    access: {
      cause:
        "No process counts as the caller's own: the caller itself is not dumpable, or its ids are not those of its connection.",
      remedy:
        'Run the collector from an executable that its user can read, and connect to the broker again after every change of ids.',
    },
    uid: {
      cause:
        "The target is not the caller's own, as ptrace(2) defines read access with real credentials: a real, effective or saved uid of the target differs.",
      remedy:
        "Run the collector as the target's user, or ask the administrator for a rule that covers other users' processes.",
    },
    gid: {
      cause:
        "The target is not the caller's own, as ptrace(2) defines read access with real credentials: a real, effective or saved gid of the target differs.",
      remedy:
        "Run the collector with the target's primary group (newgrp(1)), or ask the administrator for a rule that covers other users' processes.",
    },
    'not-dumpable': {
      cause:
        "The target is not the caller's own, as ptrace(2) defines read access with real credentials: the target is not dumpable (it changed its ids, holds secrets, or its executable is unreadable).",
      remedy:
        "Start the target from an executable that its user can read, have it call prctl(PR_SET_DUMPABLE, 1), or ask the administrator for a rule that covers other users' processes.",
    },
    capabilities: {
      cause:
        "The target is not the caller's own, as ptrace(2) defines read access with real credentials: the target has permitted capabilities that the caller does not have.",
      remedy:
        "Start the target without these capabilities, or ask the administrator for a rule that covers other users' processes.",
    },
    'user-namespace': {
      cause:
        "The target is not the caller's own, as ptrace(2) defines read access with real credentials: caller and target are not both in the broker's user namespace.",
      remedy:
        "Run target and collector outside of containers with user namespaces, or ask the administrator for a rule that covers other users' processes.",
    },
    'authorization-needed': {
      cause:
        'Policy: the rule requires authorization, and polkit would have to prompt for it. The request does not allow a prompt, or its session has no agent.',
      remedy:
        'Allow the prompt (allowInteractive; the command line does when standard error is a terminal and --no-ask is absent) and have an agent that can show it. A desktop session has one; in a terminal, start `pkttyagent --process PID` for the program (docs/polkit.md has the command). Or ask the administrator for a rule that allows the request.',
    },
    'not-authorized': {
      cause:
        'Policy: the rule requires authorization, and polkit refused it: by its own rules, or because authentication failed.',
      remedy: 'Authenticate when polkit asks, or ask the administrator for a rule of polkit or of the policy.',
    },
    dismissed: {
      cause: 'Policy: the rule requires authorization, and the prompt was closed without an answer.',
      remedy: 'Repeat the request and authenticate.',
    },
    'no-authorizer': {
      cause: 'Policy: the rule requires authorization, and perfbroker-bus or polkit does not answer.',
      remedy:
        'Ask the administrator to start perfbroker-bus (`sudo systemctl start perfbroker-bus.socket`) and to install polkitd, or for a rule that allows the request.',
    },
    'authorization-timeout': {
      cause: 'Policy: the rule requires authorization, and the prompt was not answered in time.',
      remedy: 'Repeat the request and answer within two minutes.',
    },
    'too-many-questions': {
      cause:
        'Policy: the rule requires authorization, but too many authorization requests of this user, or of all users, are already pending.',
      remedy: 'Answer the pending prompts, or wait until they end.',
    },
    'policy-changed': {
      cause:
        'Policy: it changed while the authorization or the ticket was pending, and now requires another authorization.',
      remedy: 'Repeat the request.',
    },
    'not-front-end': {
      cause: 'Only the D-Bus front end (user perfbroker-bus) may make a request for another process.',
      remedy: 'Leave out `sender`, and use Open or Downgrade.',
    },
    'not-administrator': {
      cause: 'Policy: only administrators may do this: root of the host with CAP_PERFMON or CAP_SYS_ADMIN.',
      remedy: 'Run the command with sudo.',
    },
  },
  CeilingExceeded: {
    user: {
      cause: 'The ceiling of this daemon excludes even events of user mode.',
      remedy: 'Ask the administrator to add user to --ceiling of perfbrokerd.',
    },
    raw: {
      cause: 'The ceiling of this daemon excludes raw and PMU events.',
      remedy:
        'Use a hardware or software event by name, or ask the administrator to add raw to --ceiling of perfbrokerd.',
    },
    breakpoint: {
      cause: 'The ceiling of this daemon excludes breakpoints.',
      remedy: 'Use another event, or ask the administrator to add breakpoint to --ceiling of perfbrokerd.',
    },
    tracepoint: {
      cause: 'The ceiling of this daemon excludes tracepoints.',
      remedy: 'Use another event, or ask the administrator to add tracepoint to --ceiling of perfbrokerd.',
    },
    kernel: {
      cause: 'The ceiling of this daemon excludes kernel mode.',
      remedy:
        'Exclude the kernel (`:u`, `exclude: ["kernel"]`), or ask the administrator to add kernel to --ceiling of perfbrokerd.',
    },
    'other-users': {
      cause: "The ceiling of this daemon excludes targets that are not the caller's own.",
      remedy:
        "Choose one of the caller's own processes, as the message explains, or ask the administrator to add other-users to --ceiling of perfbrokerd.",
    },
    'system-wide': {
      cause: 'The ceiling of this daemon excludes system-wide and cgroup targets.',
      remedy: 'Name processes, or ask the administrator to add system-wide to --ceiling of perfbrokerd.',
    },
  },
  InvalidEvent: {
    'unknown-field': {
      cause: 'The event has a field that does not exist.',
      remedy: 'Remove or correct the field; docs/events.md lists them.',
    },
    'missing-field': {
      cause: 'A field that the event needs is absent.',
      remedy: 'Add the field; docs/events.md lists them.',
    },
    'bad-value': {
      cause: 'A field has the wrong type or is out of its range.',
      remedy: 'Correct the value; docs/events.md gives types and ranges.',
    },
    'unknown-name': {
      cause: 'The field does not take this name.',
      remedy: 'Correct the name; docs/events.md and perf_event_open(2) list them.',
    },
    conflict: {
      cause: 'Two fields exclude each other, or one needs another.',
      remedy: 'Drop one of the two; the message names them.',
    },
    syntax: {
      cause: 'The event text does not follow perf-list(1).',
      remedy: 'Correct the text at the position that the message gives.',
    },
    'attr-size': {
      cause: 'The bytes are not a struct perf_event_attr of a published size, or its size field has another value.',
      remedy: 'Pass exactly attr.size bytes.',
    },
    'unknown-bit': {
      cause: 'A bit or trailing field of the attr is newer than this broker.',
      remedy: 'Leave it out, or update the broker: it forwards only what it knows.',
    },
    unsupported: {
      cause: 'The broker knows this bit, field or type of the attr and deliberately does not support it.',
      remedy: 'Leave it out; docs/events.md lists what is not supported and why.',
    },
    leader: {
      cause: 'The group is not well formed: a leader must come earlier in the list and lead itself.',
      remedy: 'Put the leader first and let every member name it.',
    },
    'too-many-events': {
      cause: 'A request holds at least one and at most 16 events.',
      remedy: 'Name at least one event; split a request of more than 16.',
    },
    'unknown-tracepoint': {
      cause: 'This kernel has no tracepoint of that name, or had none when perfbrokerd started and read their names.',
      remedy: 'List them with `perf list tracepoint`; load the module or mount tracefs, and restart perfbrokerd.',
    },
    'unknown-pmu': {
      cause: 'This machine has no PMU of that name or number.',
      remedy: 'List the PMUs with `perfbroker describe` or in /sys/bus/event_source/devices.',
    },
    'forbidden-pmu': {
      cause:
        "The broker never opens events of kprobe and uprobe, whose config contains pointers into the opener's memory, and of PMUs that trace instead of counting (intel_pt, intel_bts, arm_spe, cs_etm, hisi_ptt).",
      remedy: 'For a probe, ask the administrator to create it with `perf probe`, and use its tracepoint.',
    },
  },
  InvalidTarget: {
    sender: {
      cause: 'The sender that the D-Bus front end named does not match its process.',
      remedy: 'Repeat the request over a new connection to the bus.',
    },
    'bad-value': { cause: 'A field has the wrong type or is out of its range.', remedy: 'Correct the value.' },
    conflict: {
      cause:
        'Two fields exclude each other, a field does not belong to this kind of target, or the field that names the target is absent.',
      remedy:
        'A process needs pid or pidfd, and at most one of tid and threads. A cgroup needs directory. The system needs no field.',
    },
    'no-targets': {
      cause: 'The request names no target.',
      remedy: 'Name at least one process, a cgroup, or the system.',
    },
    'too-many-targets': { cause: 'The request names more than 256 targets.', remedy: 'Split the request.' },
    'not-a-pidfd': { cause: 'The fd is not a pidfd of a process.', remedy: 'Open it with pidfd_open(2), flags 0.' },
    'not-a-cgroup': {
      cause: 'The fd is not a directory of a cgroup file system.',
      remedy: 'Open the directory under /sys/fs/cgroup with O_RDONLY | O_DIRECTORY.',
    },
    'bound-socket': {
      cause:
        "The caller's socket was bound to a name before it connected, and opener and tracer take such a connection for a forged one.",
      remedy:
        'Do not bind the socket before connect(2). Set SO_PASSCRED after connect(2): set before, it binds the socket as well.',
    },
    'pid-namespace': {
      cause:
        'The caller is in another pid namespace, so its numbers name other processes in the namespace of the broker.',
      remedy: 'Pass a pidfd instead of a number.',
    },
    'wrong-thread': {
      cause: 'The tid does not name a thread of the process.',
      remedy: 'Take tids from /proc/PID/task.',
    },
    'too-many-threads': {
      cause: 'Threads times events times cpus is above the fds that one grant may have.',
      remedy: 'Name fewer threads, events or cpus, or use inherit.',
    },
    'too-many-groups': {
      cause: 'The process has too many supplementary groups: its status file is longer than the opener reads (64 KiB).',
      remedy: 'Start the process with fewer supplementary groups.',
    },
    'no-such-cpu': {
      cause: 'A cpu in the list is not online.',
      remedy: 'Take cpus from /sys/devices/system/cpu/online.',
    },
    'cpus-needed': { cause: 'Inherited events with rings can only be opened for each cpu.', remedy: 'Give `cpus`.' },
    'ring-size': {
      cause: 'The size of a ring is not a power of two of pages, or is out of range.',
      remedy: 'Use a power of two, from one page to 256 MiB.',
    },
  },
  TargetGone: {
    exited: { cause: 'The process has ended.', remedy: 'Choose another target.' },
    'no-such-process': {
      cause: "No process has this number in the caller's pid namespace (ESRCH).",
      remedy: 'Check the pid; pass a pidfd to be safe from reuse.',
    },
    'no-such-thread': {
      cause: 'The thread has ended (ESRCH).',
      remedy: 'Choose another thread, or all of them.',
    },
    'client-gone': {
      cause: 'The calling process itself has ended.',
      remedy: 'Keep the process that connected running until its requests are answered.',
    },
  },
  TargetChanged: {
    'start-time': {
      cause: 'The pid now names another process.',
      remedy: 'Repeat the request; pass a pidfd to be safe from reuse.',
    },
    uid: {
      cause: 'The target changed its uids between the decision and the opening.',
      remedy: 'Repeat the request when the target no longer changes.',
    },
    gid: {
      cause: 'The target changed its gids between the decision and the opening.',
      remedy: 'Repeat the request when the target no longer changes.',
    },
    capabilities: {
      cause: 'The target changed its permitted capabilities between the decision and the opening.',
      remedy: 'Repeat the request when the target no longer changes.',
    },
    'not-dumpable': {
      cause: 'The target changed whether it is dumpable between the decision and the opening.',
      remedy: 'Repeat the request when the target no longer changes.',
    },
    'user-namespace': {
      cause: 'The target entered another user namespace between the decision and the opening.',
      remedy: 'Repeat the request when the target no longer changes.',
    },
    executable: {
      cause: 'The target executed another program, or moved to another cgroup, while the authorization was pending.',
      remedy: 'Repeat the request.',
    },
    thread: { cause: 'A thread id now belongs to another process.', remedy: 'Repeat the request.' },
  },
  QuotaExceeded: {
    grants: {
      cause: 'The user has as many grants as the rule allows.',
      remedy: 'Revoke grants (`perfbroker grants`, `perfbroker revoke`), or close their connections.',
    },
    fds: {
      cause: 'The user has as many event fds as the rule allows.',
      remedy: 'Open fewer events, threads or cpus, revoke grants, or ask the administrator to raise `fds` of the rule.',
    },
    'ring-bytes': {
      cause: 'The rings of the user have as many bytes as the rule allows.',
      remedy: 'Use smaller rings, revoke grants, or ask the administrator to raise `ring` of the rule.',
    },
    rings: {
      cause:
        'The opener already holds as many rings for the user as it maps in advance, and waits until they are mapped.',
      remedy: 'Map them and call Mapped. Use a ring for each cpu (ringSlots), or name fewer threads.',
    },
    connections: { cause: 'The user has as many connections as the broker allows.', remedy: 'Close connections.' },
    tickets: {
      cause: 'Too many tickets of this user, or of all users, wait to be redeemed.',
      remedy: 'Redeem them, or wait: a ticket lives for 30 seconds.',
    },
    watches: {
      cause: 'The user has as many WatchGrants calls as the broker allows.',
      remedy: 'End one of these calls.',
    },
  },
  RateLimited: {
    requests: {
      cause: 'The user sends more requests per second than the policy allows.',
      remedy: 'Wait and try again. One request can have several events; each of its targets counts as a request.',
    },
  },
  DowngradeRefused: {
    'no-tracer': {
      cause: 'The daemon was started without the tracer, which takes capabilities from live processes.',
      remedy: 'Ask the administrator to start perfbrokerd with --with-tracer.',
    },
    'target-kind': {
      cause: 'Capabilities can only be taken from whole processes.',
      remedy: 'Name one process, by pid or pidfd, without tid or threads.',
    },
    'unknown-capability': {
      cause: 'A name in `drop` is not a capability.',
      remedy: 'Use names of capabilities(7), such as CAP_PERFMON, or "all".',
    },
    'nothing-asked': {
      cause: 'The request names no capability, and does not set noNewPrivs.',
      remedy: 'Name a capability, or set noNewPrivs.',
    },
    deadline: {
      cause:
        'A thread of the target could not be stopped in time, and nothing was changed. A thread that waits for its vfork(2) child or for a device cannot be interrupted.',
      remedy: 'Try again in a moment, with a longer deadline for a process with many threads.',
    },
    'too-many-threads': {
      cause: 'The process has more threads than the tracer can stop at once (4,096).',
      remedy: 'Start it without the capability instead: `perfbroker run`.',
    },
    'too-many-processes': {
      cause: 'The process has more descendants than one request may name (256).',
      remedy: 'Downgrade them one by one.',
    },
    'already-traced': {
      cause: 'Another process, such as gdb, strace or a crash handler, traces a thread of the target.',
      remedy: 'End the debugger, and try again.',
    },
    ancestor: {
      cause: 'The target is a process of this daemon, or one of its ancestors.',
      remedy: 'Choose another target: the daemon drops by itself the capabilities that it does not need.',
    },
    init: { cause: 'The target is process 1.', remedy: 'Choose another target.' },
    'kernel-thread': { cause: 'The target is a kernel thread.', remedy: 'Choose another target.' },
    compat: {
      cause: 'A thread of the target runs 32-bit code.',
      remedy: 'Start it without the capability instead: `perfbroker run`.',
    },
    seccomp: {
      cause:
        'The system calls of a thread are filtered (seccomp) or dispatched to the process itself. A call that the tracer injects could kill it.',
      remedy: 'Start it without the capability instead: `perfbroker run`, or CapabilityBoundingSet= in its unit.',
    },
    'not-permitted': {
      cause:
        'The kernel does not allow the tracer to trace the target: kernel.yama.ptrace_scope is 3, or a security module refused it.',
      remedy: 'Start it without the capability instead: `perfbroker run`.',
    },
    'no-syscall': {
      cause: 'No thread is in a system call, and the process has no vdso from which the tracer could make one.',
      remedy: 'Try again in a moment.',
    },
    'not-same-user': {
      cause:
        "The tracer makes its own check of the caller, in addition to the policy. Root of the host may downgrade any process, every other user only processes whose ids are all the caller's.",
      remedy: 'Run the command with sudo.',
    },
    'system-error': {
      cause: 'A system call of the tracer failed before anything was changed; errno has its error.',
      remedy: 'Try again.',
    },
  },
  DowngradeFailed: {
    partial: {
      cause:
        'A thread kept a capability: a security module refused capset(2), or the target executed a program in the meantime.',
      remedy:
        'Check `processes` and try again, with noNewPrivs if the target executes programs. Otherwise end the target.',
    },
    children: {
      cause: 'Some of the processes were downgraded before another one was refused.',
      remedy:
        'Check `processes` for the downgraded ones; the message names the process that was refused, and the reason.',
    },
  },
  NoSuchGrant: {
    unknown: {
      cause: 'There is no such grant, or it belongs to another user. The broker deliberately does not tell which.',
      remedy: 'List your grants with ListGrants (`perfbroker grants`).',
    },
    ticket: {
      cause:
        'There is no such ticket, it was already redeemed, its 30 seconds are over, or it was made for another user or method.',
      remedy: 'Request a new one over the D-Bus interface, and redeem it at once as the same user.',
    },
  },
  UnexpectedFds: {
    method: {
      cause: 'This method takes no fds; the broker closed those of the message.',
      remedy: 'Attach fds only where targets are named: Open, Explain, Downgrade, PrepareOpen, PrepareDowngrade.',
    },
    unused: {
      cause: 'The message has more or fewer fds than its targets mention; the broker closed all of them.',
      remedy: 'Attach exactly the fds that the targets index.',
    },
  },
  AuditFailed: {
    write: {
      cause: 'The decision could not be written to the audit log, and the broker hands over no event without a record.',
      remedy: 'Ask the administrator to check the audit file: free space, rotation, permissions.',
    },
  },
  Unavailable: {
    'shutting-down': { cause: 'The broker is shutting down.', remedy: 'Try again when it is back.' },
    'opener-busy': {
      cause:
        'Too many requests of this user wait for the opener, are late, or have rings that were not reported as mapped; or other users occupy all workers.',
      remedy: 'Try again in a moment. Call Mapped for each grant as soon as its rings are mapped.',
    },
    'opener-late': {
      cause:
        "The kernel keeps this request waiting for a lock, or keeps earlier requests of this user waiting: one for the same target, 4 for targets of the target's user, or 32 in total. Or the opener's worker ended without an answer.",
      remedy: 'Try again when the target continues, or end it.',
    },
    'opener-gone': {
      cause: 'The opener has ended, and the daemon ends with it.',
      remedy: "Try again. The daemon's log has the reason.",
    },
    'context-held': {
      cause:
        "The lock of the target's perf events was held for too long. A process that has an event on the target can cause this.",
      remedy: 'Try again when that process has ended.',
    },
    'tracer-busy': {
      cause: 'Too many requests of this user wait for the tracer or are late, or other users occupy all workers.',
      remedy: 'Try again in a moment.',
    },
    'tracer-late': {
      cause:
        "This request, or earlier requests of this user, still wait for a thread of the target: one for the same target, 4 for targets of the target's user, or 8 in total. Or the tracer's worker ended without an answer.",
      remedy:
        'Check the capabilities of the target (`grep Cap /proc/PID/status`). Try again when it continues, or end it.',
    },
    'tracer-gone': {
      cause: 'The tracer has ended, and the daemon ends with it.',
      remedy: "Try again. The daemon's log has the reason.",
    },
    'not-running': {
      cause: 'The broker is not running: no process listens on its socket.',
      remedy:
        'Start it: `sudo systemctl start perfbroker`, or `sudo perfbrokerd` in a terminal. PERFBROKER_SOCKET names another socket.',
    },
    'no-access': {
      cause: 'The caller may not connect to the socket of the broker.',
      remedy:
        'Ask the administrator to add the caller to the group of the socket, or check the modes of its directories.',
    },
    'invalid-socket': {
      cause:
        'The path cannot be that of the broker: it does not name a stream socket, or it is longer than 107 bytes (unix(7)).',
      remedy: 'Correct --socket or PERFBROKER_SOCKET. The default is /run/perfbroker/broker.sock.',
    },
    'connection-lost': {
      cause: 'The connection to the broker ended, and the grants that were opened over it ended with it.',
      remedy: "Connect again. The daemon's log has the reason.",
    },
    'fd-limit': {
      cause:
        'The caller has reached its limit of open files (RLIMIT_NOFILE). The connection has ended, and its grants with it.',
      remedy: 'Raise the limit (`ulimit -n`), or open fewer events at once.',
    },
    'timed-out': {
      cause: 'The broker did not answer in time, and the client closed the connection.',
      remedy: 'Try again, with a longer timeoutMs for a large request.',
    },
    internal: { cause: 'The broker has a bug.', remedy: "Report it with the daemon's log of that moment." },
  },
} as const;

export type ErrorCode<Name extends ErrorName> = Name extends keyof typeof table
  ? keyof (typeof table)[Name] & string
  : KernelErrorCode;

export const ERROR_TABLE: Readonly<Record<ErrorName, Readonly<Record<string, ErrorText>>>> = {
  ...table,
  KernelRefused: KERNEL_ERRORS,
};

export interface ErrorOverrides {
  /** Positive. */
  readonly errno?: number;
  readonly cause?: string;
  readonly remedy?: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** {@link BrokerError} with cause and remedy from the table. `message` describes this case. */
export function brokerError<Name extends ErrorName>(
  name: Name,
  code: ErrorCode<Name>,
  message: string,
  overrides: ErrorOverrides = {},
): BrokerError {
  // Widened: inside this function TypeScript no longer relates Name and code.
  const text = ERROR_TABLE[name][code];
  if (text === undefined) throw new TypeError(`${name} has no code ${code}`);
  return new BrokerError(name, code, message, { cause: text.cause, remedy: text.remedy, ...overrides });
}
