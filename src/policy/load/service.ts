import { count, lease, type QuantityKey } from './quantities.js';
import type { ServiceLimits } from '../types.js';

/** Limits without a value in any file's [service]. */
export const BUILT_IN_SERVICE: ServiceLimits = Object.freeze({
  requestsPerSecond: 500,
  burst: 1000,
  connections: 64,
  idleExitSeconds: 60,
});

/** Keys of the [service] table. */
export const SERVICE_KEYS: Readonly<Record<string, QuantityKey<ServiceLimits>>> = {
  requests_per_second: { field: 'requestsPerSecond', minimum: 1, maximum: 1_000_000, ...count },
  burst: { field: 'burst', minimum: 1, maximum: 1_000_000, ...count },
  connections: { field: 'connections', minimum: 1, maximum: 10_000, ...count },
  idle_exit: { field: 'idleExitSeconds', minimum: 0, maximum: 30 * 86_400, ...lease },
};
