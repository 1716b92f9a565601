/** Facts of the machine from sysfs and proc, all of them world-readable. */
import { readdirSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { parseCpuList } from '../../common/cpus.js';
import { DEFAULT_PARANOID } from '../../common/paranoid.js';

export interface Machine {
  readonly kernel: string;
  /** kernel.perf_event_paranoid. */
  readonly paranoid: number;
  readonly maxSampleRate: number;
  /** Reads the cpus that are online now: a cpu can be added or taken offline while the daemon runs. */
  readonly onlineCpus: () => readonly number[];
  /** PMUs of /sys/bus/event_source/devices and their type numbers. */
  readonly pmus: ReadonlyMap<string, number>;
}

/** @throws when the machine offers no list of cpus or PMUs */
export function readMachine(): Machine {
  readOnlineCpus(); // each request needs it
  return {
    kernel: release(),
    paranoid: readKernelSetting('perf_event_paranoid') ?? DEFAULT_PARANOID,
    maxSampleRate: readKernelSetting('perf_event_max_sample_rate') ?? 0,
    onlineCpus: () => readOnlineCpus(),
    pmus: readPmus('/sys/bus/event_source/devices'),
  };
}

/** A setting of /proc/sys/kernel. The /proc of our unit has no such folder; the unit passes the files as credentials (systemd.exec(5)). */
function readKernelSetting(
  name: string,
  folder = '/proc/sys/kernel',
  credentials: string | undefined = process.env['CREDENTIALS_DIRECTORY'],
): number | null {
  return readNumber(`${folder}/${name}`) ?? (credentials === undefined ? null : readNumber(`${credentials}/${name}`));
}

/** @param path for tests; the kernel's file has 4096 bytes at most (sysfs) */
export function readOnlineCpus(path = '/sys/devices/system/cpu/online'): readonly number[] {
  return parseCpuList(readFileSync(path, 'latin1'));
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
