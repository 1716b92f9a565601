/** Facts of the machine from sysfs and proc, all of them world-readable. */
import { readdirSync, readFileSync } from 'node:fs';
import { release } from 'node:os';

export interface Machine {
  readonly kernel: string;
  /** kernel.perf_event_paranoid. */
  readonly paranoid: number;
  readonly maxSampleRate: number;
  readonly onlineCpus: readonly number[];
  /** PMUs of /sys/bus/event_source/devices and their type numbers. */
  readonly pmus: ReadonlyMap<string, number>;
}

export function readMachine(): Machine {
  return {
    kernel: release(),
    paranoid: readKernelSetting('perf_event_paranoid') ?? 0,
    maxSampleRate: readKernelSetting('perf_event_max_sample_rate') ?? 0,
    onlineCpus: parseCpuList(readFileSync('/sys/devices/system/cpu/online', 'latin1')),
    pmus: readPmus('/sys/bus/event_source/devices'),
  };
}

/** A setting of /proc/sys/kernel. The /proc of our unit has no such folder; the unit passes the files as credentials (systemd.exec(5)). */
export function readKernelSetting(
  name: string,
  folder = '/proc/sys/kernel',
  credentials: string | undefined = process.env['CREDENTIALS_DIRECTORY'],
): number | null {
  return readNumber(`${folder}/${name}`) ?? (credentials === undefined ? null : readNumber(`${credentials}/${name}`));
}

/** `0-2,5` is [0, 1, 2, 5] (cpu lists of sysfs). */
export function parseCpuList(text: string): number[] {
  const cpus: number[] = [];
  for (const range of text.trim().split(',').filter(Boolean)) {
    const [first, last = first] = range.split('-').map(Number);
    if (first === undefined || last === undefined || !Number.isSafeInteger(first) || !Number.isSafeInteger(last))
      continue;
    for (let cpu = first; cpu <= last; cpu++) cpus.push(cpu);
  }
  return cpus;
}

function readPmus(directory: string): Map<string, number> {
  const pmus = new Map<string, number>();
  for (const name of readdirSync(directory)) {
    const type = readNumber(`${directory}/${name}/type`);
    if (type !== null) pmus.set(name, type);
  }
  return pmus;
}

function readNumber(path: string): number | null {
  try {
    const number = Number(readFileSync(path, 'latin1'));
    return Number.isFinite(number) ? number : null;
  } catch {
    return null;
  }
}
