/** Names of events as perf writes them (evsel__name in perf's evsel.c). */
import type { EventSource, EventSpec, Exclusion, HARDWARE_EVENTS } from '../../event.js';
import { EXCLUSION_MODIFIERS, FIELD_MODIFIERS } from '../../event_flags.js';
import { hex } from '../../../common/hex.js';

/** Events for which perf writes the alias. */
const HARDWARE_DISPLAY: Readonly<Partial<Record<(typeof HARDWARE_EVENTS)[number], string>>> = {
  'cpu-cycles': 'cycles',
  'branch-instructions': 'branches',
};

/** Name that perf displays: `cpu-clock:u`, `cycles:pp`, `sched:sched_switch`. parseEvents reads it back as the same event. */
export function eventName(spec: EventSpec): string {
  const name = sourceName(spec.source);
  const modifiers = modifierLetters(spec);
  return modifiers === '' || name.endsWith('/') ? name + modifiers : `${name}:${modifiers}`;
}

/** Name without modifiers. */
export function sourceName(source: EventSource): string {
  switch (source.kind) {
    case 'software':
      return source.name;
    case 'hardware':
      return HARDWARE_DISPLAY[source.name] ?? source.name;
    case 'cache':
      return source.result === 'miss'
        ? `${source.cache}-${source.operation}-misses`
        : `${source.cache}-${source.operation === 'prefetch' ? 'prefetches' : `${source.operation}s`}`;
    case 'raw':
      return hasOnlyConfig(source) ? `r${source.config.toString(16)}` : `cpu/${configTerms(source)}/`;
    case 'pmu':
      return `${source.pmu}/${configTerms(source)}/`;
    case 'tracepoint':
      return 'name' in source ? source.name : `tracepoint/id=${source.id}/`;
    case 'breakpoint':
      return `mem:${hex(source.address)}/${source.length}:${source.access}`;
  }
}

function hasOnlyConfig(source: Extract<EventSource, { kind: 'raw' }>): boolean {
  return source.config1 === undefined && source.config2 === undefined && source.config3 === undefined;
}

function configTerms(source: Extract<EventSource, { kind: 'raw' | 'pmu' }>): string {
  return (['config', 'config1', 'config2', 'config3'] as const)
    .flatMap((name) => (source[name] === undefined ? [] : [`${name}=${hex(source[name])}`]))
    .join(',');
}

function modifierLetters(spec: EventSpec): string {
  const { exclude, preciseIp, sampleType } = spec;
  const counted = (...names: readonly Exclusion[]): string =>
    names.map((name) => (exclude.includes(name) ? '' : letterOf(name))).join('');
  const levels = counted('user', 'kernel', 'hv');
  const machines = counted('guest', 'host');
  // `p` excludes guests by itself.
  const usualMachines = preciseIp > 0 ? 'H' : 'GH';
  return (
    (levels === 'ukh' ? '' : levels) +
    'p'.repeat(preciseIp) +
    (machines === usualMachines ? '' : machines) +
    (exclude.includes('idle') ? letterOf('idle') : '') +
    (sampleType.includes('read') ? 'S' : '') +
    FIELD_MODIFIERS.map(([letter, field]) => (spec[field] ? letter : '')).join('')
  );
}

function letterOf(exclusion: Exclusion): string {
  return EXCLUSION_MODIFIERS.find(([, name]) => name === exclusion)?.[0] ?? '';
}
