import type { EventSource, EventSpec } from '../../model/event.js';
import { formatBytes, formatLease } from '../units.js';
import type { Limits, PolicyRequest, Reason } from '../types.js';

const NANOSECONDS = 1_000_000_000n;

/**
 * Limits that a request exceeds by itself; quota.ts checks the sum of a user's grants. The comparisons treat NaN as a violation.
 */
export function exceededLimits(request: PolicyRequest, limits: Limits, rule: string): readonly Reason[] {
  const texts = request.events.flatMap((event, index) => exceededByEvent(event, `event ${index}`, limits));
  if (!isAtMost(request.fds, limits.fds)) texts.push(`fds: ${request.fds} requested, ${limits.fds} allowed`);
  if (!isAtMost(request.ringBytes, limits.ringBytes)) {
    texts.push(`ring: ${formatBytes(request.ringBytes)} requested, ${formatBytes(limits.ringBytes)} allowed`);
  }
  const lease = request.leaseSeconds;
  if (lease !== undefined && !isLeaseAllowed(lease, limits.leaseSeconds)) {
    texts.push(`lease: ${formatLease(lease)} requested, ${formatLease(limits.leaseSeconds)} allowed`);
  }
  return texts.map((text) => ({ code: 'limit', rule, text: `rule "${rule}" limits ${text}` }));
}

function exceededByEvent({ source, sampling, stackUser }: EventSpec, name: string, limits: Limits): string[] {
  const texts: string[] = [];
  if (sampling !== undefined && 'frequency' in sampling && !isAtMost(sampling.frequency, limits.frequency)) {
    texts.push(`frequency: ${name} requests ${sampling.frequency} Hz, ${limits.frequency} allowed`);
  }
  if (sampling !== undefined && 'period' in sampling) {
    const least = leastPeriod(source, limits);
    if (sampling.period < least.period) {
      texts.push(
        `${least.limit}: ${name} requests period ${sampling.period}, at least ${least.period} allowed${least.why}`,
      );
    }
  }
  if (stackUser !== undefined && !isAtMost(stackUser, limits.stackBytes)) {
    texts.push(`stack: ${name} requests ${formatBytes(stackUser)}, ${formatBytes(limits.stackBytes)} allowed`);
  }
  return texts;
}

/**
 * Shortest period of an event. The period of a clock is a frequency: cpu-clock and task-clock count nanoseconds, and events of the
 * processor (cycles, instructions, raw events) can happen about once per nanosecond. Other events have no rate of their own.
 */
function leastPeriod(source: EventSource, limits: Limits): { period: bigint; limit: string; why: string } {
  const least = BigInt(limits.minPeriod);
  const clock = (NANOSECONDS + BigInt(limits.frequency) - 1n) / BigInt(limits.frequency);
  return isClock(source) && clock > least
    ? {
        period: clock,
        limit: 'frequency',
        why: ` (${limits.frequency} Hz of an event that can happen once per nanosecond)`,
      }
    : { period: least, limit: 'min_period', why: '' };
}

function isClock(source: EventSource): boolean {
  switch (source.kind) {
    case 'software':
      return source.name === 'cpu-clock' || source.name === 'task-clock';
    case 'hardware':
    case 'cache':
    case 'raw':
    case 'pmu':
      return true;
    case 'tracepoint':
    case 'breakpoint':
      return false;
  }
}

/** 0 means no end, in the request and in the limit. */
function isLeaseAllowed(asked: number, allowed: number): boolean {
  if (allowed === 0) return Number.isFinite(asked) && asked >= 0;
  return asked > 0 && asked <= allowed;
}

function isAtMost(asked: number, allowed: number): boolean {
  return asked >= 0 && asked <= allowed;
}
