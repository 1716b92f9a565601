/** The order of a downgrade: which rights its targets lose, from parameters to texts. */
import { didYouMean } from '../../../common/nearest.js';
import { quote } from '../../../common/quote.js';
import { brokerError } from '../../../model/errors/error_table.js';
import type { BrokerError } from '../../../model/errors/errors.js';
import { capabilityBits, capabilityNames, nearestCapability } from '../../../model/identity/capabilities.js';
import { isAdministrator, type Subject } from '../../../model/identity/subject.js';
import { MAX_DEADLINE } from '../../ipc/tracer_protocol.js';

export interface DowngradeOrder {
  /** Capability bits. */
  readonly drop: bigint;
  readonly noNewPrivs: boolean;
  readonly dryRun: boolean;
  /** Milliseconds. */
  readonly deadline: number;
}

/**
 * Longest time in milliseconds that a target is stopped before its first thread is changed, unless the request names another time. Only
 * an administrator can name a longer one: a user who starves its own target occupies a worker of the tracer for that time.
 */
const DEFAULT_DEADLINE = 100;

interface OrderParameters {
  readonly drop: readonly string[];
  readonly noNewPrivs?: boolean;
  readonly dryRun?: boolean;
  readonly deadlineMs?: number;
}

/** @throws BrokerError for an unknown capability, an empty order or a deadline out of range */
export function parseOrder(parameters: OrderParameters, subject: Subject): DowngradeOrder {
  const { noNewPrivs = false, dryRun = false, deadlineMs = DEFAULT_DEADLINE } = parameters;
  let drop = 0n;
  for (const name of parameters.drop) {
    const bits = capabilityBits(name);
    if (bits === undefined) throw unknownCapability(name);
    drop |= bits;
  }
  if (drop === 0n && !noNewPrivs)
    throw brokerError('DowngradeRefused', 'nothing-asked', 'the request names no capability and not noNewPrivs');
  const longest = isAdministrator(subject) ? MAX_DEADLINE : DEFAULT_DEADLINE;
  if (deadlineMs < 1 || deadlineMs > longest)
    throw brokerError(
      'InvalidTarget',
      'bad-value',
      `deadlineMs is ${deadlineMs}; 1 to ${longest} are possible for ${isAdministrator(subject) ? 'an administrator' : 'users other than an administrator'}`,
    );
  return { drop, noNewPrivs, dryRun, deadline: deadlineMs };
}

function unknownCapability(name: string): BrokerError {
  const hint = didYouMean(nearestCapability(name));
  return brokerError('DowngradeRefused', 'unknown-capability', `there is no capability ${quote(name, 64)}${hint}`);
}

/** Facts about an order for the audit log. */
export function orderFacts({ drop, noNewPrivs, dryRun }: DowngradeOrder): Record<string, unknown> {
  const all = capabilityNames(drop);
  return { drop: all.length === 64 ? ['all'] : all, noNewPrivs, ...(dryRun ? { dryRun } : {}) };
}

/** Text for a dialog: `take CAP_PERFMON,CAP_SYS_ADMIN, set no_new_privs`. */
export function orderText({ drop, noNewPrivs, dryRun }: DowngradeOrder): string {
  const all = capabilityNames(drop);
  const taken = all.length === 64 ? 'all capabilities' : all.join(',');
  const parts = [taken === '' ? '' : `take ${taken}`, noNewPrivs ? 'set no_new_privs' : '', dryRun ? 'dry run' : ''];
  return parts.filter((part) => part !== '').join(', ');
}
