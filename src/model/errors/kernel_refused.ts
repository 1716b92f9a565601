import { brokerError } from './error_table.js';
import type { BrokerError } from './errors.js';
import { explainErrno, type RefusalContext } from './kernel_errors.js';

/** The KernelRefused error for `errno` (positive), with cause and remedy for this very context. */
export function kernelRefused(errno: number, context: RefusalContext): BrokerError {
  const { code, cause, remedy } = explainErrno(errno, context);
  const call = context.call ?? 'perf_event_open';
  const name = code === 'other' ? `errno ${errno}` : code;
  return brokerError('KernelRefused', code, `${context.what}: ${call} refused with ${name}`, { errno, cause, remedy });
}
