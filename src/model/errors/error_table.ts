/**
 * The one table of error codes: for every error of org.perfbroker.Broker its stable codes, each with the cause and
 * the remedy that a client is told. docs/errors.md is generated from it (errors_doc.ts), and a test holds table,
 * document and interface definition together.
 */
import { BrokerError, type ErrorName } from './errors.js';
import { KERNEL_ERRORS, type KernelErrorCode } from './kernel_errors.js';

export interface ErrorText {
  /** Why, in one sentence. */
  readonly cause: string;
  /** What the caller or the administrator can do about it. */
  readonly remedy: string;
}

const table = {
  PolicyDenied: {
    'no-rule': {
      cause: 'Policy: no rule matches the request, and what no rule allows is denied.',
      remedy:
        'Run `perfbroker explain` with the same request to see each rule and why it did not apply. Ask the administrator for a rule in /etc/perfbroker/policy.d.',
    },
    denied: {
      cause: 'Policy: the first rule that matches says deny.',
      remedy: 'Ask the administrator for a rule in /etc/perfbroker/policy.d.',
    },
    subject: {
      cause: 'Policy: no rule names the caller (its user, groups or systemd unit).',
      remedy:
        'Have the caller added to a group that a rule names (the default policy names perfbroker), then log in again.',
    },
    target: {
      cause: 'Policy: no rule that names the caller covers this target.',
      remedy:
        'Choose a target that a rule covers, or ask the administrator for a rule in /etc/perfbroker/policy.d that covers this one.',
    },
    class: {
      cause: 'Policy: a rule matches, but it does not allow a class that the events need.',
      remedy: 'Ask for less: leave out the kernel side (`:u`), use a software or hardware event instead of raw ones.',
    },
    mode: {
      cause:
        'Policy: a rule matches, but its modes (counting, sampling, downgrade) leave out the one that was asked for.',
      remedy:
        'Ask for what the rule allows (without a period or frequency an event counts), or ask for a rule with this mode.',
    },
    limit: {
      cause: 'Policy: the request goes beyond a limit of the rule that would allow it.',
      remedy:
        'Ask for a lower frequency, a longer period, a smaller ring, less stack, a shorter lease, or fewer events, threads or cpus; the reason names the limit, which the administrator can raise.',
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
        'Policy: the rule says ask, and polkit would have to ask a human, which the request does not allow or for which its session has no agent.',
      remedy:
        'Allow the question (allowInteractive; the command line asks when standard error is a terminal and --no-ask is absent) where an agent can ask. A desktop session has one; in a terminal start the program with an agent of its own, `pkttyagent --process PID` (docs/polkit.md has the command). Or ask the administrator for a rule that allows it.',
    },
    'not-authorized': {
      cause: 'Policy: the rule says ask, and polkit refused: by its own rules, or because authentication failed.',
      remedy: 'Authenticate when polkit asks, or ask the administrator for a rule of polkit or of the policy.',
    },
    dismissed: {
      cause: 'Policy: the rule says ask, and the question was closed without an answer.',
      remedy: 'Repeat the request and authenticate.',
    },
    'no-authorizer': {
      cause: 'Policy: the rule says ask, and nobody can be asked: perfbroker-bus or polkit does not answer.',
      remedy:
        'Have the administrator start perfbroker-bus (`sudo systemctl start perfbroker-bus.socket`) and install polkitd, or ask for a rule that allows it.',
    },
    'authorization-timeout': {
      cause: 'Policy: the rule says ask, and no answer came in time.',
      remedy: 'Repeat the request and answer within two minutes.',
    },
    'too-many-questions': {
      cause: 'Policy: the rule says ask, and as many questions of this user, or of all users, are open as may be.',
      remedy: 'Answer the open questions, or wait until they end.',
    },
    'policy-changed': {
      cause: 'Policy: it changed while the question was open or the ticket waited, and wants something else asked now.',
      remedy: 'Repeat the request.',
    },
    'not-front-end': {
      cause: 'Only the D-Bus front end (user perfbroker-bus) may speak for somebody else.',
      remedy: 'Make the request in your own name: leave out `sender`, and use Open or Downgrade.',
    },
    'not-administrator': {
      cause: 'Policy: this is for administrators: root of the host with CAP_PERFMON or CAP_SYS_ADMIN.',
      remedy: 'Run the command with sudo.',
    },
  },
  CeilingExceeded: {
    user: {
      cause: 'The daemon was started with a ceiling that excludes even user-side events.',
      remedy: 'Start perfbrokerd with `--ceiling user` or more.',
    },
    raw: {
      cause: 'The ceiling of this daemon excludes raw and PMU events.',
      remedy: 'Use a hardware or software event by name, or start perfbrokerd with `raw` in --ceiling.',
    },
    breakpoint: {
      cause: 'The ceiling of this daemon excludes breakpoints.',
      remedy: 'Start perfbrokerd with `breakpoint` in --ceiling.',
    },
    tracepoint: {
      cause: 'The ceiling of this daemon excludes tracepoints.',
      remedy: 'Start perfbrokerd with `tracepoint` in --ceiling.',
    },
    kernel: {
      cause: 'The ceiling of this daemon excludes the kernel side.',
      remedy: 'Exclude the kernel (`:u`, `exclude: ["kernel"]`), or start perfbrokerd with `kernel` in --ceiling.',
    },
    'other-users': {
      cause: "The ceiling of this daemon excludes targets that are not the caller's own.",
      remedy:
        "Choose one of the caller's own processes, as the message explains, or ask the administrator to add other-users to --ceiling of perfbrokerd.",
    },
    'system-wide': {
      cause: 'The ceiling of this daemon excludes system-wide and cgroup targets.',
      remedy: 'Name processes, or start perfbrokerd with `system-wide` in --ceiling.',
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
      cause: 'A name is not one that this field takes.',
      remedy: 'Correct the name; docs/events.md and perf_event_open(2) list them.',
    },
    conflict: {
      cause: 'Two fields exclude each other, or one needs another.',
      remedy: 'Drop one of the two; the message names them.',
    },
    syntax: {
      cause: 'The event text is not as perf-list(1) describes it.',
      remedy: 'Correct the text at the position that the message gives.',
    },
    'attr-size': {
      cause: 'The bytes are no struct perf_event_attr of a published size, or its size field says something else.',
      remedy: 'Pass exactly attr.size bytes.',
    },
    'unknown-bit': {
      cause: 'A bit or trailing field of the attr is newer than this broker.',
      remedy: 'Leave it out, or update the broker: what it does not know it does not forward.',
    },
    unsupported: {
      cause: 'A bit, field or type of the attr is known and deliberately not brokered.',
      remedy: 'Leave it out; docs/events.md says what is not brokered and why.',
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
      cause: 'This kernel has no tracepoint of that name, or had none when perfbrokerd read them at its start.',
      remedy: 'List them with `perf list tracepoint`; load the module or mount tracefs, and restart perfbrokerd.',
    },
    'unknown-pmu': {
      cause: 'This machine has no PMU of that name or number.',
      remedy: 'Look into /sys/bus/event_source/devices, or at what Describe returns.',
    },
    'forbidden-pmu': {
      cause:
        "Never brokered: kprobe and uprobe, whose config holds pointers into the opener's memory, and PMUs that trace all that happens (intel_pt, intel_bts, arm_spe, cs_etm, hisi_ptt), which is no count.",
      remedy: 'For a probe, have the administrator create it with `perf probe`, and use its tracepoint.',
    },
  },
  InvalidTarget: {
    sender: {
      cause: 'The sender that the D-Bus front end named is not what it said of it.',
      remedy: 'Repeat the request over a new connection to the bus.',
    },
    'bad-value': { cause: 'A field has the wrong type or is out of its range.', remedy: 'Correct the value.' },
    conflict: {
      cause:
        'Two fields exclude each other, a field does not belong to the kind, or the one that names the target is absent.',
      remedy:
        'Give a process either pid or pidfd, and at most one of tid and threads; a cgroup its directory; the system nothing.',
    },
    'no-targets': {
      cause: 'The request names no target.',
      remedy: 'Name at least one process, a cgroup, or the system.',
    },
    'too-many-targets': { cause: 'The request names more targets than one request may.', remedy: 'Split the request.' },
    'not-a-pidfd': { cause: 'The fd is no pidfd of a process.', remedy: 'Open it with pidfd_open(2), flags 0.' },
    'not-a-cgroup': {
      cause: 'The fd is no directory of a cgroup file system.',
      remedy: 'Open the directory under /sys/fs/cgroup with O_RDONLY | O_DIRECTORY.',
    },
    'pid-namespace': {
      cause: 'The caller lives in another pid namespace, so that its numbers mean other processes here.',
      remedy: 'Pass a pidfd instead of a number.',
    },
    'wrong-thread': { cause: 'The tid is no thread of the process.', remedy: 'Take tids from /proc/PID/task.' },
    'too-many-threads': {
      cause: 'Threads times events times cpus is more than one grant may hold.',
      remedy: 'Name fewer threads, events or cpus, or use inherit.',
    },
    'too-many-groups': {
      cause: 'The process has more supplementary groups that the opener cannot read its status file (64 KiB).',
      remedy: 'Start the process with fewer supplementary groups.',
    },
    'no-such-cpu': {
      cause: 'A cpu in the list is not online.',
      remedy: 'Take cpus from /sys/devices/system/cpu/online.',
    },
    'cpus-needed': { cause: 'This combination can only be opened per cpu.', remedy: 'Give `cpus`.' },
    'ring-size': {
      cause: 'A ring is a power of two in pages, and within bounds.',
      remedy: 'Ask for a power of two of at least one page.',
    },
  },
  TargetGone: {
    exited: { cause: 'The process has ended.', remedy: 'Nothing: choose another target.' },
    'no-such-process': {
      cause: "No process has this number in the caller's pid namespace (ESRCH).",
      remedy: 'Check the pid; pass a pidfd to be safe from reuse.',
    },
    'no-such-thread': {
      cause: 'The thread has ended (ESRCH).',
      remedy: 'Nothing: choose another thread, or all of them.',
    },
    'client-gone': {
      cause: 'The calling process itself has ended.',
      remedy: 'Keep the process that connected alive while its requests run.',
    },
  },
  TargetChanged: {
    'start-time': {
      cause: 'The pid names another process by now.',
      remedy: 'Repeat the request; pass a pidfd to be safe from reuse.',
    },
    uid: {
      cause: 'The target changed its uids between the decision and the hand-over.',
      remedy: 'Repeat the request when the target has settled.',
    },
    gid: {
      cause: 'The target changed its gids between the decision and the hand-over.',
      remedy: 'Repeat the request when the target has settled.',
    },
    capabilities: {
      cause: 'The target changed its permitted capabilities between the decision and the hand-over.',
      remedy: 'Repeat the request when the target has settled.',
    },
    'not-dumpable': {
      cause: 'The target changed whether it is dumpable between the decision and the hand-over.',
      remedy: 'Repeat the request when the target has settled.',
    },
    'user-namespace': {
      cause: 'The target entered another user namespace between the decision and the hand-over.',
      remedy: 'Repeat the request when the target has settled.',
    },
    executable: {
      cause: 'The target executed another program, or was moved to another cgroup, while somebody was asked about it.',
      remedy: 'Repeat the request.',
    },
    thread: { cause: 'A thread id belongs to another process by now.', remedy: 'Repeat the request.' },
  },
  QuotaExceeded: {
    grants: {
      cause: "The user's grants are used up.",
      remedy: 'Revoke grants (`perfbroker grants`, `perfbroker revoke`) or close their connections.',
    },
    fds: {
      cause: "The user's event fds are used up.",
      remedy: 'Open fewer events, threads or cpus, or revoke grants; the administrator can raise `fds` of the rule.',
    },
    'ring-bytes': { cause: "The user's ring bytes are used up.", remedy: 'Ask for smaller rings, or revoke grants.' },
    rings: {
      cause: 'As many rings of the user wait to be mapped as the opener maps in advance for one.',
      remedy: 'Map them and call Mapped; ask for a ring for each cpu (ringSlots), or for fewer threads.',
    },
    connections: { cause: "The user's connections are used up.", remedy: 'Close connections.' },
    tickets: {
      cause: 'As many tickets of this user, or of all users, wait to be redeemed as may.',
      remedy: 'Redeem them, or wait: a ticket lives for 30 seconds.',
    },
    watches: { cause: 'The user watches grants as many times as one may.', remedy: 'End one of them.' },
  },
  RateLimited: {
    requests: {
      cause: 'The user sends more requests a second than the broker answers.',
      remedy: 'Wait and try again; put several events and targets into one request.',
    },
  },
  DowngradeRefused: {
    'no-tracer': {
      cause: 'The daemon was started without the tracer, which takes capabilities from live processes.',
      remedy: 'Start perfbrokerd with --with-tracer.',
    },
    'target-kind': {
      cause: 'Capabilities are taken from whole processes only.',
      remedy: 'Name one process, by pid or pidfd, without tid or threads.',
    },
    'unknown-capability': {
      cause: 'A name in `drop` is no capability.',
      remedy: 'Use names of capabilities(7), as CAP_PERFMON, or "all".',
    },
    'nothing-asked': {
      cause: 'The request names no capability, and noNewPrivs is not set.',
      remedy: 'Name what is to be taken.',
    },
    deadline: {
      cause:
        'A thread of the target could not be stopped in time, and everything goes on as it was: a thread that waits for its vfork(2) child or for a device can not be interrupted.',
      remedy: 'Try again in a moment, with a longer deadline for a process of very many threads.',
    },
    'too-many-threads': {
      cause: 'The process has more threads than the tracer stops at once (4,096).',
      remedy: 'Start it without the capability instead: `perfbroker run`.',
    },
    'too-many-processes': {
      cause: 'The process has more descendants than one request may name (256).',
      remedy: 'Downgrade them one by one.',
    },
    'already-traced': {
      cause: 'Another process traces a thread of the target: gdb, strace, a crash handler.',
      remedy: 'End the debugger, and try again.',
    },
    ancestor: {
      cause: 'The target is a part of this daemon, or one of its ancestors.',
      remedy: 'Nothing: the daemon gives up what it does not need by itself.',
    },
    init: { cause: 'The target is process 1.', remedy: 'Choose another target.' },
    'kernel-thread': { cause: 'The target is a kernel thread.', remedy: 'Choose another target.' },
    compat: {
      cause: 'A thread of the target runs 32-bit code.',
      remedy: 'Start it without the capability instead: `perfbroker run`.',
    },
    seccomp: {
      cause:
        'The system calls of a thread are filtered (seccomp) or dispatched to the process itself: a call made in its name could kill it.',
      remedy: 'Start it without the capability instead: `perfbroker run`, or CapabilityBoundingSet= in its unit.',
    },
    'not-permitted': {
      cause: 'The kernel does not let the tracer at the target: kernel.yama.ptrace_scope 3, or a security module.',
      remedy: 'Start it without the capability instead: `perfbroker run`.',
    },
    'no-syscall': {
      cause: 'No thread is in a system call, and no vdso is mapped from which one could be made.',
      remedy: 'Try again in a moment.',
    },
    'not-same-user': {
      cause:
        "The tracer makes its own check, whatever the policy says: root of the host may downgrade any process, everybody else only processes whose ids are all the caller's.",
      remedy: 'Run the command with sudo.',
    },
    'system-error': {
      cause: 'A system call of the tracer failed before anything was changed; errno says which error.',
      remedy: 'Try again.',
    },
  },
  DowngradeFailed: {
    partial: {
      cause:
        'Some thread kept a capability: a security module refused capset(2), or the target executed a program meanwhile.',
      remedy:
        'Look at `processes`, and try again, with noNewPrivs where the target executes programs; else end the target.',
    },
    children: {
      cause: 'Some of the processes were downgraded, and then another one was refused.',
      remedy: 'Look at `processes` for what is done; the message says which process was refused, and why.',
    },
  },
  NoSuchGrant: {
    unknown: {
      cause: "There is no such grant, or it is not the caller's: the answer is the same on purpose.",
      remedy: 'List your grants with ListGrants (`perfbroker grants`).',
    },
    ticket: {
      cause:
        'There is no such ticket, it was used, its 30 seconds are over, or it was made for another user or method.',
      remedy: 'Get a new one from the D-Bus interface, and redeem it at once, as the user that asked for it.',
    },
  },
  UnexpectedFds: {
    method: {
      cause: 'This method takes no fds; those that came were closed.',
      remedy: 'Attach fds only where targets are named: Open, Explain, Downgrade, PrepareOpen, PrepareDowngrade.',
    },
    unused: {
      cause: 'More or fewer fds came along than the targets mention; all of them were closed.',
      remedy: 'Attach exactly the fds that the targets index.',
    },
  },
  AuditFailed: {
    write: {
      cause: 'The decision could not be written to the audit log, and nothing is handed over without a record.',
      remedy: 'The administrator has to look at the audit file: disk full, rotated away, or its permissions.',
    },
  },
  Unavailable: {
    'shutting-down': { cause: 'The broker is shutting down.', remedy: 'Try again when it is back.' },
    'opener-busy': {
      cause:
        'Too many requests of this user wait for the opener, are late, or have rings that have not been reported as mapped. Or other users have taken all workers.',
      remedy: 'Try again in a moment. Call `Mapped` for each of your own grants when its rings are mapped.',
    },
    'opener-late': {
      cause:
        "The kernel keeps this request waiting for a lock, or earlier ones of this user: one about the same target, 4 about targets of the target's user, or 32 in all. Or the opener's worker ended without an answer.",
      remedy: 'Try again when that target goes on, or end it.',
    },
    'opener-gone': {
      cause: 'The opener has ended; the daemon ends with it.',
      remedy: "Try again; the administrator finds the reason in the daemon's log.",
    },
    'context-held': {
      cause:
        "The lock of the target's perf events has been held for too long; a process that has an event on the target can do that.",
      remedy: 'Try again when that process has ended.',
    },
    'tracer-busy': {
      cause: 'Too many requests of this user wait for the tracer or are late, or other users have taken all workers.',
      remedy: 'Try again in a moment.',
    },
    'tracer-late': {
      cause:
        "This request still waits for a thread of its target, or earlier ones of this user do: one about the same target, 4 about targets of the target's user, or 8 in all. Or the tracer's worker ended without an answer.",
      remedy: 'Look at what the target holds now (`grep Cap /proc/PID/status`). Try again when it goes on, or end it.',
    },
    'tracer-gone': {
      cause: 'The tracer has ended; the daemon ends with it.',
      remedy: "Try again; the administrator finds the reason in the daemon's log.",
    },
    'not-running': {
      cause: 'Nothing listens on the socket of the broker.',
      remedy:
        'Start it: `sudo systemctl start perfbroker`, or `sudo perfbrokerd` in a terminal. PERFBROKER_SOCKET names another socket.',
    },
    'no-access': {
      cause: 'The caller may not connect to the socket of the broker.',
      remedy: 'Have the caller added to the group that owns the socket, or look at the modes of its directories.',
    },
    'connection-lost': {
      cause: 'The connection to the broker ended; with it ended the grants that were opened over it.',
      remedy: "Connect again; the administrator finds the reason in the daemon's log.",
    },
    'timed-out': {
      cause: 'The broker did not answer in time; the client closed the connection.',
      remedy: 'Try again, with a longer timeoutMs where the request is large.',
    },
    internal: { cause: 'A fault in the broker.', remedy: "Report it with the daemon's log of that moment." },
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

/** A {@link BrokerError} with cause and remedy from the table. `message` says what, in this very case. */
export function brokerError<Name extends ErrorName>(
  name: Name,
  code: ErrorCode<Name>,
  message: string,
  overrides: ErrorOverrides = {},
): BrokerError {
  // Widened on purpose: inside, Name and code are not correlated any more.
  const text = ERROR_TABLE[name][code];
  if (text === undefined) throw new TypeError(`${name} has no code ${code}`);
  return new BrokerError(name, code, message, { cause: text.cause, remedy: text.remedy, ...overrides });
}
