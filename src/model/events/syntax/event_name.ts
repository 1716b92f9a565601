/** The names of events as perf writes them (evsel__name in perf's evsel.c). */
import type { EventSource, EventSpec, HARDWARE_EVENTS } from '../../event.js';
import { hex } from '../source_json.js';

/** Where perf writes the alias. */
const HARDWARE_DISPLAY: Readonly<Partial<Record<(typeof HARDWARE_EVENTS)[number], string>>> = {
  'cpu-cycles': 'cycles',
  'branch-instructions': 'branches',
};

/** perf's display name: `cpu-clock:u`, `cycles:pp`, `sched:sched_switch`. What parseEvents read is read the same again. */
export function eventName(spec: EventSpec): string {
  const name = sourceName(spec.source);
  const modifiers = modifierLetters(spec);
  return modifiers === '' || name.endsWith('/') ? name + modifiers : `${name}:${modifiers}`;
}

/** The name without modifiers. */
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

function modifierLetters({ exclude, preciseIp, pinned, exclusive, sampleType }: EventSpec): string {
  const counted = (name: 'user' | 'kernel' | 'hv' | 'host' | 'guest', letter: string): string =>
    exclude.includes(name) ? '' : letter;
  const levels = counted('user', 'u') + counted('kernel', 'k') + counted('hv', 'h');
  const machines = counted('guest', 'G') + counted('host', 'H');
  // `p` leaves guests out by itself.
  const usualMachines = preciseIp > 0 ? 'H' : 'GH';
  return (
    (levels === 'ukh' ? '' : levels) +
    'p'.repeat(preciseIp) +
    (machines === usualMachines ? '' : machines) +
    (exclude.includes('idle') ? 'I' : '') +
    (sampleType.includes('read') ? 'S' : '') +
    (pinned ? 'D' : '') +
    (exclusive ? 'e' : '')
  );
}
