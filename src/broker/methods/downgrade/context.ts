import type { TracerClient } from '../../ipc/tracer.js';
import type { RequestContext, TicketContext } from '../request/context.js';

/** State of the broker that the methods of a downgrade can read and change. */
export interface DowngradeContext extends RequestContext {
  readonly dependencies: RequestContext['dependencies'] & {
    /** Null without --with-tracer. */
    readonly tracer: Tracer | null;
  };
}

export type PrepareDowngradeContext = DowngradeContext & TicketContext;

export type Tracer = Pick<TracerClient, 'downgrade'>;
