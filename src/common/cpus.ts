import { readFileSync, statfsSync } from 'node:fs';
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

/** Sources of {@link onlineCpus}, for tests. */
export interface CpuFiles {
  readonly online: string;
  readonly stat: string;
  readonly status: string;
}

const FILES: CpuFiles = {
  online: '/sys/devices/system/cpu/online',
  stat: '/proc/stat',
  status: '/proc/self/status',
};

/** SYSFS_MAGIC (include/uapi/linux/magic.h). */
const SYSFS = 0x62656572;

/**
 * Every online cpu, as far as this process can see. Only the kernel's own sysfs is believed. Where a container hides the list, or lxcfs
 * shows a shorter one, the result is every cpu that any source names: the events of a process may be opened on a cpu too many, where
 * they cost a ring, and a cpu too few loses samples.
 */
export function onlineCpus(files: CpuFiles = FILES): readonly number[] {
  const listed = cpuListOf(files.online);
  if (listed !== undefined && isSysfs(files.online)) return listed;
  const cpus = new Set([...(listed ?? []), ...allowedCpus(files.status), ...countedCpus(files.stat)]);
  if (cpus.size === 0) for (let cpu = 0; cpu < availableParallelism(); cpu++) cpus.add(cpu);
  return [...cpus].sort((a, b) => a - b);
}

function isSysfs(path: string): boolean {
  try {
    return statfsSync(path).type === SYSFS;
  } catch {
    return false;
  }
}

/** Cpus that this process may run on, by the numbers of the kernel; lxcfs does not forge them. */
function allowedCpus(status: string): readonly number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(textOf(status))?.[1];
  try {
    return list === undefined ? [] : parseCpuList(list);
  } catch {
    return [];
  }
}

function countedCpus(stat: string): readonly number[] {
  return [...textOf(stat).matchAll(/^cpu(\d{1,4}) /gm)].map(([, cpu]) => Number(cpu));
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
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
