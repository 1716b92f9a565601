/** What tickets stand for. */
import { brokerError } from '../../../model/errors/error_table.js';
import type { BrokerError } from '../../../model/errors/errors.js';
import type { AuthorizationAction } from '../../../policy/decide/authorization.js';
import type { Held } from '../../grants/tickets.js';
import type { WantedDowngrade, WantedOpen } from './wanted.js';

interface Decided extends Held {
  /** What somebody agreed to. */
  readonly authorized: readonly AuthorizationAction[];
}

export interface HeldOpen extends Decided {
  readonly kind: 'open';
  readonly wanted: WantedOpen;
}

export interface HeldDowngrade extends Decided {
  readonly kind: 'downgrade';
  readonly wanted: WantedDowngrade;
}

export function isOpenTicket(held: Held): held is HeldOpen {
  return held.kind === 'open';
}

export function isDowngradeTicket(held: Held): held is HeldDowngrade {
  return held.kind === 'downgrade';
}

/** The same for whatever is wrong with a ticket. */
export function unknownTicket(): BrokerError {
  return brokerError('NoSuchGrant', 'ticket', 'there is no such ticket of yours');
}
