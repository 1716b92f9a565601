/** Requests that were vetted, and what was said to them. */
import type { AuthorizationAction } from '../../../policy/decide/authorization.js';
import type { Verdict } from '../../../policy/types.js';
import type { DowngradeOrder } from '../downgrade/order.js';
import type { VettedRequest } from '../open/request.js';
import type { ProcessTarget } from '../../processes/targets.js';
import type { TracerClient } from '../../ipc/tracer.js';

/** What the target is to lose before its events are handed over. */
export interface Downgrade {
  readonly tracer: TracerClient;
  readonly target: ProcessTarget;
  readonly order: DowngradeOrder;
}

/** A vetted Open. Its targets are held until they are released. */
export interface WantedOpen {
  readonly request: VettedRequest;
  readonly leaseSeconds: number | undefined;
  readonly downgrade: Downgrade | null;
}

export type Passed = Verdict & { readonly kind: 'allow' | 'ask' };

/** A vetted Downgrade. The target is held until it is released. */
export interface WantedDowngrade {
  readonly tracer: TracerClient;
  readonly target: ProcessTarget;
  readonly order: DowngradeOrder;
  readonly children: boolean;
}

/** What somebody agreed to already counts as allowed. */
export interface Approval {
  readonly verdict: Passed;
  /** Of polkit's actions those that were needed and given. */
  readonly authorized: readonly AuthorizationAction[];
}
