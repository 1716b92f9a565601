/**
 * Meaning of each errno of perf_event_open(2) and of mapping its rings. Sources: perf_event_open(2) ERRORS, kernel/events/core.c.
 */
import type { EventSource } from '../event.js';

/** Codes of KernelRefused, with the general cause and remedy; {@link explainErrno} has more precise ones for some. */
export const KERNEL_ERRORS = {
  EPERM: {
    cause:
      'Permission: seccomp, lockdown mode, or a capability that this kernel requires besides the one of the opener.',
    remedy: 'Check /sys/kernel/security/lockdown, and that the unit allows perf_event_open.',
  },
  EACCES: {
    cause:
      'Permission: the paranoid level requires a capability that the opener does not have, or a security module (SELinux perf_event class) refused it.',
    remedy:
      'Check kernel.perf_event_paranoid, the capability that the opener kept (in the daemon log), and the audit log of the security module.',
  },
  ENOENT: {
    cause: 'Missing PMU: no PMU of this machine has the event. Virtual machines often have no hardware PMU.',
    remedy: 'Use a software event such as cpu-clock; `perfbroker describe` lists the PMUs.',
  },
  ENODEV: {
    cause: 'Missing PMU: no PMU of this machine has the event. Virtual machines often have no hardware PMU.',
    remedy: 'Use a software event such as cpu-clock; `perfbroker describe` lists the PMUs.',
  },
  EOPNOTSUPP: {
    cause: 'Missing PMU feature: the PMU does not support sampling interrupts, branch stacks, precise_ip or exclusion.',
    remedy: 'Count instead of sampling, drop precise_ip and branch filters, or use a software event.',
  },
  EINVAL: {
    cause: 'The kernel or the PMU does not take this combination of fields.',
    remedy:
      'Leave fields out one by one; dmesg may have a reason. Keep the sampling frequency below kernel.perf_event_max_sample_rate.',
  },
  E2BIG: {
    cause: 'This kernel is older than a field that the event uses.',
    remedy: 'Leave newer fields out (config3).',
  },
  EOVERFLOW: {
    cause: 'maxStack is above kernel.perf_event_max_stack.',
    remedy: 'Use fewer frames, or ask the administrator to raise the sysctl.',
  },
  ENOSYS: {
    cause: 'The kernel was built without perf events, or the architecture lacks user stack dumps.',
    remedy: 'Use a kernel with CONFIG_PERF_EVENTS, or sample callchains instead of stacks.',
  },
  EBUSY: {
    cause: 'Another event uses the PMU exclusively.',
    remedy: 'Try again later, or leave out pinned and exclusive.',
  },
  ENOSPC: {
    cause:
      'All hardware breakpoint slots are in use, a group has more events than the PMU has counters, or the opener has no room for more rings (1,024 rings for one grant, 256 MiB for all users).',
    remedy:
      'Use fewer breakpoints, split the group, or use smaller rings. Call Mapped as soon as rings are mapped: it releases their room, and so does the end of a grant.',
  },
  EMFILE: {
    cause: "nofile: the opener's or the broker's limit of open files is reached.",
    remedy:
      'Open fewer events at once, end grants, or try again when other requests have ended. Or ask the administrator to raise LimitNOFILE of the unit.',
  },
  ENFILE: {
    cause: 'nofile: the system-wide limit of open files is reached.',
    remedy: 'Ask the administrator to raise fs.file-max.',
  },
  ENOMEM: {
    cause: 'The kernel has no memory for the event or its ring.',
    remedy: 'Use smaller rings or fewer events.',
  },
  EAGAIN: {
    cause: 'memlock: the ring exceeds RLIMIT_MEMLOCK and kernel.perf_event_mlock_kb.',
    remedy: 'Use a smaller ring, or ask the administrator to raise kernel.perf_event_mlock_kb.',
  },
  ESRCH: { cause: 'The thread has ended.', remedy: 'Choose another target.' },
  EINTR: { cause: 'The target was executing a new program.', remedy: 'Try again.' },
  ETOOMANYREFS: {
    cause: "nofile: more fds are in flight than the broker's RLIMIT_NOFILE allows.",
    remedy: 'Receive the fds that were already sent, or ask the administrator to raise LimitNOFILE of the unit.',
  },
  EFAULT: { cause: 'The kernel could not read the request: the broker has a bug.', remedy: 'Report it.' },
  other: {
    cause: 'The kernel refused with an errno that perf_event_open(2) does not explain.',
    remedy: 'Look up the errno.',
  },
} as const;

/** Linux errnos that matter here (asm-generic/errno-base.h, errno.h; the same on x86 and arm). */
const ERRNO_NUMBERS: Readonly<Record<Exclude<keyof typeof KERNEL_ERRORS, 'other'>, number>> = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  E2BIG: 7,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  ENODEV: 19,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOSPC: 28,
  ENOSYS: 38,
  EOVERFLOW: 75,
  EOPNOTSUPP: 95,
  ETOOMANYREFS: 109,
};

export type KernelErrorCode = keyof typeof KERNEL_ERRORS;

/** `'EACCES'` for 13; `'other'` for an errno that is not in the table. */
export function errnoCode(errno: number): KernelErrorCode {
  for (const [name, value] of Object.entries(ERRNO_NUMBERS)) if (value === errno) return name as KernelErrorCode;
  return 'other';
}

export interface RefusalContext {
  /** Name of the event, or `ring of 4 MiB`. */
  readonly what: string;
  /** The system call; by default perf_event_open. */
  readonly call?: string;
  readonly source?: EventSource['kind'];
  /** The cpu of the event, when it is offline. */
  readonly offlineCpu?: number;
  /** kernel.perf_event_paranoid. */
  readonly paranoid?: number;
  /** Capability that the opener kept, `CAP_PERFMON` or `CAP_SYS_ADMIN`. */
  readonly capability?: string;
}

/** Cause and remedy of one refusal, more precise than the table's where the context allows it. */
export function explainErrno(
  errno: number,
  context: RefusalContext,
): { readonly code: KernelErrorCode; readonly cause: string; readonly remedy: string } {
  const code = errnoCode(errno);
  const general = KERNEL_ERRORS[code];
  if (context.call === 'mmap' && (code === 'EPERM' || code === 'EAGAIN')) return { code, ...KERNEL_ERRORS.EAGAIN };
  if (code === 'EACCES' && context.paranoid !== undefined) {
    const holds = context.capability === undefined ? 'the opener' : `the opener (${context.capability})`;
    return {
      code,
      cause: `Paranoid level ${context.paranoid} requires a capability besides that of ${holds}, or a security module refused it.`,
      remedy: general.remedy,
    };
  }
  if (code === 'ENODEV' && context.offlineCpu !== undefined)
    return {
      code,
      cause: `Cpu ${context.offlineCpu} went offline before the event was opened on it.`,
      remedy: 'Try again; without a list of cpus the broker takes those that are online.',
    };
  if (context.source === 'software' && (code === 'ENOENT' || code === 'ENODEV'))
    return {
      code,
      cause: 'This kernel is older than the software event.',
      remedy: 'Use another event; `perf list sw` lists them.',
    };
  if (context.source === 'tracepoint' && code === 'ENOENT')
    return {
      code,
      cause: 'The tracepoint no longer exists: its module was unloaded.',
      remedy: 'Load the module again.',
    };
  if (context.source === 'tracepoint' && code === 'EPERM')
    return {
      code,
      cause:
        'The kernel gives raw tracepoint data to privileged callers only, and does not give the broker the data of function tracing.',
      remedy: 'Leave raw out of the sample type.',
    };
  return { code, ...general };
}
