/** Classes of the ceiling and the policy that an event needs. The opener has the same rules (native/opener/check.cc). */
import { EVENT_CLASSES, type EventClass, type EventSource, type EventSpec } from '../event.js';
import { KERNEL_RECORDS } from '../event_flags.js';

/** End of user space in the smallest layout (x86-64, four levels). */
const USER_SPACE_END = 1n << 47n;

/**
 * @returns every class that the event needs, in the order of EVENT_CLASSES. `other-users` and `system-wide` depend on the target
 * and are never included.
 */
export function eventClasses(spec: EventSpec): readonly EventClass[] {
  const classes = new Set<EventClass>([sourceClass(spec.source)]);
  if (seesKernel(spec)) classes.add('kernel');
  return EVENT_CLASSES.filter((name) => classes.has(name));
}

function sourceClass(source: EventSource): EventClass {
  switch (source.kind) {
    case 'software':
    case 'hardware':
    case 'cache':
      return 'user';
    case 'raw':
    case 'pmu':
      return 'raw';
    case 'tracepoint':
      return 'tracepoint';
    case 'breakpoint':
      return 'breakpoint';
  }
}

function seesKernel({ exclude, sampleType, records, branch, source }: EventSpec): boolean {
  return (
    !exclude.includes('kernel') ||
    sampleType.includes('phys_addr') ||
    sampleType.includes('regs_intr') ||
    records.some((record) => KERNEL_RECORDS.includes(record)) ||
    branch.includes('kernel') ||
    branch.includes('hv') ||
    (source.kind === 'breakpoint' && source.address + BigInt(source.length) > USER_SPACE_END)
  );
}
