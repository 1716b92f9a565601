import { brokerError } from './error_table.js';
import type { BrokerError } from './errors.js';
import { explainErrno, type RefusalContext } from './kernel_errors.js';

/** Errnos of a system call for which this process, the machine or a socket has no room for another fd. */
const FD_SHORTAGES = ['EMFILE', 'ENFILE', 'ETOOMANYREFS'];

/** KernelRefused error of a positive `errno`, with cause and remedy for this context. */
export function kernelRefused(errno: number, context: RefusalContext): BrokerError {
  const { code, cause, remedy } = explainErrno(errno, context);
  const call = context.call ?? 'perf_event_open';
  const name = code === 'other' ? `errno ${errno}` : code;
  return brokerError('KernelRefused', code, `${context.what}: ${call} refused with ${name}`, { errno, cause, remedy });
}

/**
 * KernelRefused error for a system call of the broker itself that found no room for an fd; null for any other error.
 * @param error thrown by Node.js, whose errnos are negative, or by the addon
 */
export function fdShortage(error: unknown): BrokerError | null {
  if (!(error instanceof Error)) return null;
  const { code, errno, syscall } = error as NodeJS.ErrnoException;
  if (code === undefined || errno === undefined || !FD_SHORTAGES.includes(code)) return null;
  return kernelRefused(Math.abs(errno), { what: 'the broker has no room for another fd', call: syscall ?? 'open' });
}
