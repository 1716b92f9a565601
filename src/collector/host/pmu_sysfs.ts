import { readFileSync, readdirSync } from 'node:fs';
import type { PmuReader } from '../../model/events/syntax/pmu_format.js';

const ROOT = '/sys/bus/event_source/devices';

/** Reads the kernel's PMU descriptions in sysfs, which every user may read. */
export const sysfsPmus: PmuReader = {
  read: (path) => {
    try {
      return readFileSync(`${ROOT}/${path}`, 'utf8');
    } catch {
      return undefined;
    }
  },
  list: (path) => {
    try {
      return readdirSync(`${ROOT}/${path}`);
    } catch {
      return [];
    }
  },
};

/** Number of a PMU. @throws the system's error when there is no such PMU */
export function pmuType(name: string): number {
  return Number(readFileSync(`${ROOT}/${name}/type`, 'utf8'));
}
