import type { EventClass } from '../../../model/event.js';
import type { Grants } from '../../grants/grants.js';
import type { Quotas } from '../../grants/reservation.js';
import type { RingAnchors } from '../../grants/ring_anchors.js';
import type { Machine } from '../../host/machine.js';
import type { Tracepoints } from '../../host/tracepoints.js';
import type { OpenerClient, OpenerSession } from '../../ipc/opener.js';
import type { DowngradeContext } from '../downgrade/context.js';
import type { TicketContext } from '../request/context.js';

/** The machine, as a request is vetted against it. */
export interface Host {
  readonly machine: Pick<Machine, 'paranoid' | 'pmus' | 'onlineCpus'>;
  readonly tracepoints: Pick<Tracepoints, 'id' | 'size'>;
  readonly ceiling: readonly EventClass[];
}

/** A worker of the opener, for one Open. */
export type OpenSession = Pick<OpenerSession, 'open' | 'releaseRings' | 'done' | 'release'>;

export interface Opener {
  readonly begin: (...parameters: Parameters<OpenerClient['begin']>) => Promise<OpenSession>;
}

/** State of the broker that the methods of an Open can read and change. */
export interface OpenContext extends DowngradeContext, Quotas {
  readonly grants: Pick<Grants, 'add' | 'has'>;
  readonly ringAnchors: Pick<RingAnchors, 'needed' | 'attach'>;
  readonly dependencies: DowngradeContext['dependencies'] &
    Host & {
      readonly opener: Opener;
      /** Capability that the opener holds. */
      readonly capability: string;
    };
}

export type PrepareOpenContext = OpenContext & TicketContext;
