import type { SubordinateUids } from '../../model/identity/subordinate_uids.js';
import type { AuditRecord } from '../audit/audit_record.js';
import type { Work } from '../fairness/work.js';
import type { Peer } from './peer.js';

/** The process for which a call is made. */
export interface Caller {
  readonly peer: Peer;
  /** Unique name on the system bus; null: the client speaks for itself. */
  readonly busName: string | null;
  /** Charged to the caller's user. */
  readonly work: Work;
}

/** The user of a downgrade, and the audit log of an answer that comes too late for the request. */
export interface DowngradeCaller {
  /** SubordinateUids.userOf */
  readonly user: number;
  readonly users: Pick<SubordinateUids, 'userOf'>;
  readonly record: (record: AuditRecord) => void;
}
