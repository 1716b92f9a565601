import { readFileSync } from 'node:fs';

/**
 * Mount point of the cgroup hierarchy that perf events follow: perf_event of version 1 where there is one, else version 2
 * (cgroups(7)).
 */
export function cgroupRoot(mounts: string = readMounts()): string {
  const entries = mounts.split('\n').map((line) => line.split(' '));
  const first = entries.find(([, , type, options]) => type === 'cgroup' && options?.split(',').includes('perf_event'));
  return (first ?? entries.find(([, , type]) => type === 'cgroup2'))?.[1] ?? '/sys/fs/cgroup';
}

/** Directory of a cgroup. @param path a path under the mount point, or as in /proc/PID/cgroup */
export function cgroupPath(path: string, root: string = cgroupRoot()): string {
  return path.startsWith('/sys/fs/cgroup/') || path.startsWith(`${root}/`)
    ? path
    : `${root}/${path.replace(/^\/+/, '')}`;
}

function readMounts(): string {
  try {
    return readFileSync('/proc/self/mounts', 'utf8');
  } catch {
    return '';
  }
}
