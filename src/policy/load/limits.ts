import { bytes, count, lease, type QuantityKey } from './quantities.js';
import type { Limits } from '../types.js';

/** Limits without a value in the rule or in any file's [limits]. A test compares them with default.toml. */
export const BUILT_IN_LIMITS: Limits = Object.freeze({
  frequency: 4000,
  minPeriod: 1,
  ringBytes: 32 * 1024 ** 2,
  fds: 4096,
  grants: 16,
  leaseSeconds: 12 * 3600,
  stackBytes: 65_528,
});

/** Longest lease that ends. */
export const MAX_LEASE_SECONDS: number = 365 * 86_400;

/** Keys of a limits table. The order is that of documentation and summaries. */
export const LIMIT_KEYS: Readonly<Record<string, QuantityKey<Limits>>> = {
  // Far above any kernel.perf_event_max_sample_rate in use; the kernel also enforces its own maximum.
  frequency: { field: 'frequency', minimum: 1, maximum: 1_000_000, ...count },
  min_period: { field: 'minPeriod', minimum: 1, maximum: Number.MAX_SAFE_INTEGER, ...count },
  // The opener maps no more in advance for all users (kMaxPremapBytes in native/protocol/opener.h).
  ring: { field: 'ringBytes', minimum: 0, maximum: 256 * 1024 ** 2, ...bytes },
  fds: { field: 'fds', minimum: 1, maximum: 1_000_000, ...count },
  grants: { field: 'grants', minimum: 1, maximum: 10_000, ...count },
  lease: { field: 'leaseSeconds', minimum: 0, maximum: MAX_LEASE_SECONDS, ...lease },
  // sample_stack_user: the kernel takes at most 65,528 (perf_event_open(2): less than USHRT_MAX, a multiple of 8).
  stack: { field: 'stackBytes', minimum: 0, maximum: 65_528, ...bytes },
};

/** `4,000 Hz, min_period 1, ring 32 MiB, ...` for summaries. */
export function describeLimits(limits: Limits): string {
  return Object.entries(LIMIT_KEYS)
    .map(([key, { field, format }]) =>
      key === 'frequency' ? `${format(limits[field])} Hz` : `${key} ${format(limits[field])}`,
    )
    .join(', ');
}
