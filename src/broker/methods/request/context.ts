/**
 * Views of the broker and of a client: the parts that a method can read and change. Broker and ClientConnection satisfy them, and tests
 * pass fakes.
 */
import type { Subject } from '../../../model/identity/subject.js';
import type { SubordinateUids } from '../../../model/identity/subordinate_uids.js';
import type { Policy } from '../../../policy/types.js';
import type { Call } from '../../../varlink/service.js';
import type { Replier } from '../../../varlink/replier.js';
import type { AuditRecord } from '../../audit/audit_record.js';
import type { Work } from '../../fairness/work.js';
import type { Tickets } from '../../grants/tickets.js';
import type { Authorizer } from '../../ipc/authorizer.js';
import type { ClientConnection } from '../../processes/client_connection.js';

/** The client that made a call. */
export type Client = Pick<
  ClientConnection,
  'subject' | 'peer' | 'closed' | 'requireConnected' | 'watchHangup' | 'withSocket'
>;

/** A call, and the work that is done for it. */
export interface WorkCall extends Call<Client> {
  readonly work: Work;
}

export type Reply = Pick<Replier, 'reply' | 'continue' | 'lend'>;

export interface AuditTrail {
  /** @throws AuditFailed */
  record(subject: Subject, record: AuditRecord): void;
  recordIfPossible(subject: Subject, record: AuditRecord): void;
}

/** State of the broker that every request needs before a decision. */
export interface RequestContext extends AuditTrail {
  /** The policy in force. A reload replaces it: read it again for each decision. */
  readonly policy: Policy;
  /** stopping: running requests are finished, new ones are refused. */
  readonly phase: 'serving' | 'draining' | 'stopping';
  readonly dependencies: {
    readonly authorizer: Pick<Authorizer, 'ask'>;
    readonly subordinateUids: SubordinateUids;
  };
  isFrontEnd(user: Pick<Subject, 'uid'>): boolean;
  /** @throws RateLimited */
  charge(user: Pick<Subject, 'uid'>, cost: number): void;
  admitSender(user: Pick<Subject, 'uid'>, cost: number): void;
}

export interface TicketContext {
  readonly tickets: Pick<Tickets, 'add' | 'find' | 'redeem'>;
  /** @throws Unavailable */
  requireTickets(): void;
}
