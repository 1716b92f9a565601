import type { EventSource, EventSpec } from '../../model/event.js';
import { formatBytes, formatLease } from '../units.js';
import type { Limits, PolicyRequest, Reason } from '../types.js';

const NANOSECONDS = 1_000_000_000n;

/**
 * Every limit that a request by itself goes beyond; what a user's grants add up to is quota.ts's business. Comparisons are
 * written so that a NaN is a violation.
 */
export function exceededLimits(request: PolicyRequest, limits: Limits, rule: string): readonly Reason[] {
  const texts = request.events.flatMap((event, index) => exceededByEvent(event, `event ${index}`, limits));
  if (!isAtMost(request.fds, limits.fds)) texts.push(`fds: ${request.fds} asked, ${limits.fds} allowed`);
  if (!isAtMost(request.ringBytes, limits.ringBytes)) {
    texts.push(`ring: ${formatBytes(request.ringBytes)} asked, ${formatBytes(limits.ringBytes)} allowed`);
  }
  const lease = request.leaseSeconds;
  if (lease !== undefined && !isLeaseAllowed(lease, limits.leaseSeconds)) {
    texts.push(`lease: ${formatLease(lease)} asked, ${formatLease(limits.leaseSeconds)} allowed`);
  }
  return texts.map((text) => ({ code: 'limit', rule, text: `rule "${rule}" limits ${text}` }));
}

function exceededByEvent({ source, sampling, stackUser }: EventSpec, name: string, limits: Limits): string[] {
  const texts: string[] = [];
  if (sampling !== undefined && 'frequency' in sampling && !isAtMost(sampling.frequency, limits.frequency)) {
    texts.push(`frequency: ${name} asks for ${sampling.frequency} Hz, ${limits.frequency} allowed`);
  }
  if (sampling !== undefined && 'period' in sampling) {
    const least = leastPeriod(source, limits);
    if (sampling.period < least.period) {
      texts.push(
        `${least.limit}: ${name} asks for period ${sampling.period}, at least ${least.period} allowed${least.why}`,
      );
    }
  }
  if (stackUser !== undefined && !isAtMost(stackUser, limits.stackBytes)) {
    texts.push(`stack: ${name} asks for ${formatBytes(stackUser)}, ${formatBytes(limits.stackBytes)} allowed`);
  }
  return texts;
}

/**
 * A period is a frequency in disguise where the event is a clock: cpu-clock and task-clock count nanoseconds, and what a
 * processor counts (cycles, instructions, raw events) may happen about once in one. Other events have no rate of their own.
 */
function leastPeriod(source: EventSource, limits: Limits): { period: bigint; limit: string; why: string } {
  const least = BigInt(limits.minPeriod);
  const clock = (NANOSECONDS + BigInt(limits.frequency) - 1n) / BigInt(limits.frequency);
  return isClock(source) && clock > least
    ? {
        period: clock,
        limit: 'frequency',
        why: ` (${limits.frequency} Hz of an event that may happen once a nanosecond)`,
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

/** 0 is "no end", on both sides. */
function isLeaseAllowed(asked: number, allowed: number): boolean {
  if (allowed === 0) return Number.isFinite(asked) && asked >= 0;
  return asked > 0 && asked <= allowed;
}

function isAtMost(asked: number, allowed: number): boolean {
  return asked >= 0 && asked <= allowed;
}
