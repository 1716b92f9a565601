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
