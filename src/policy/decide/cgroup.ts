/**
 * Systemd unit of a cgroup path: the first component that is not a slice, as in systemd's cg_path_get_unit. `/system.slice/nginx.service/worker` is nginx.service.
 *
 * Later components do not count: below a delegated unit its owner creates cgroups of any name. Any user can start a process in
 * `/user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service`.
 * @returns undefined for a path outside of every unit, and for an unknown path
 */
export function unitOfCgroup(path: string): string | undefined {
  if (!isKnownCgroup(path)) return undefined;
  for (const component of path.split('/').slice(1)) {
    // systemd prefixes a name that looks like a control file of the kernel with an underscore.
    const name = component.startsWith('_') ? component.slice(1) : component;
    if (SLICE.test(name)) continue;
    return UNIT.test(name) ? name : undefined;
  }
  return undefined;
}

const SLICE = /^[A-Za-z0-9:_.\\@-]+\.slice$/;
const UNIT = /^[A-Za-z0-9:_.\\@-]+\.(?:service|scope|socket|mount|swap)$/;

/** @returns false for an empty path, and for one outside of our cgroup namespace (`/../other`) */
export function isKnownCgroup(path: string): boolean {
  return path.startsWith('/') && !path.split('/').includes('..');
}

/** @returns whether `path` is the cgroup `ancestor` or below it, by whole components: /a is not an ancestor of /ab */
export function isWithinCgroup(path: string, ancestor: string): boolean {
  return isKnownCgroup(path) && (ancestor === '/' || path === ancestor || path.startsWith(`${ancestor}/`));
}

/** @param pattern name of a unit, or a prefix with `*` at its end */
export function matchesUnit(unit: string | undefined, pattern: string): boolean {
  if (unit === undefined) return false;
  return pattern.endsWith('*') ? unit.startsWith(pattern.slice(0, -1)) : unit === pattern;
}
