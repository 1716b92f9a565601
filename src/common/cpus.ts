import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** More than any kernel is built for (NR_CPUS of 8192). */
const MOST_CPUS = 8192;

/**
 * A list as the kernel and perf write it: `0-3,8`. Sorted, without doubles.
 * @throws RangeError naming the part that is not a cpu or range.
 */
export function parseCpuList(text: string): readonly number[] {
  const cpus = new Set<number>();
  for (const part of text.trim().split(',')) {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part.trim());
    const first = Number(match?.[1]);
    const last = Number(match?.[2] ?? match?.[1]);
    if (match === null || last < first || last >= MOST_CPUS)
      throw new RangeError(`'${part}' is not a cpu or range of cpus`);
    for (let cpu = first; cpu <= last; cpu++) cpus.add(cpu);
  }
  return [...cpus].sort((a, b) => a - b);
}

/** Every online cpu. */
export function onlineCpus(): readonly number[] {
  return cpuListOf('/sys/devices/system/cpu/online') ?? Array.from({ length: availableParallelism() }, (_, cpu) => cpu);
}

/** Number of cpus that this machine could have online. */
export function possibleCpuCount(): number {
  return (cpuListOf('/sys/devices/system/cpu/possible') ?? onlineCpus()).length;
}

function cpuListOf(path: string): readonly number[] | undefined {
  try {
    return parseCpuList(readFileSync(path, 'utf8'));
  } catch {
    // Containers may hide sysfs.
    return undefined;
  }
}
