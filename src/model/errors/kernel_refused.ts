import { brokerError } from './error_table.js';
import type { BrokerError } from './errors.js';
import { explainErrno, type RefusalContext } from './kernel_errors.js';

/** KernelRefused error of a positive `errno`, with cause and remedy for this context. */
export function kernelRefused(errno: number, context: RefusalContext): BrokerError {
  const { code, cause, remedy } = explainErrno(errno, context);
  const call = context.call ?? 'perf_event_open';
  const name = code === 'other' ? `errno ${errno}` : code;
  return brokerError('KernelRefused', code, `${context.what}: ${call} refused with ${name}`, { errno, cause, remedy });
}
