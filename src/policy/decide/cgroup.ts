/**
 * The systemd unit that a cgroup path lies in: the first component that is no slice, as systemd itself reads it
 * (cg_path_get_unit). `/system.slice/nginx.service/worker` is nginx.service.
 *
 * Never a later one: below a delegated unit its owner makes cgroups of any name, so that under
 * `/user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service` any user can start what he likes.
 * @returns undefined for a path that no unit holds (or that is unknown)
 */
export function unitOfCgroup(path: string): string | undefined {
  if (!isKnownCgroup(path)) return undefined;
  for (const component of path.split('/').slice(1)) {
    // systemd escapes what looks like a control file of the kernel's with an underscore.
    const name = component.startsWith('_') ? component.slice(1) : component;
    if (SLICE.test(name)) continue;
    return UNIT.test(name) ? name : undefined;
  }
  return undefined;
}

const SLICE = /^[A-Za-z0-9:_.\\@-]+\.slice$/;
const UNIT = /^[A-Za-z0-9:_.\\@-]+\.(?:service|scope|socket|mount|swap)$/;

/** False for what tells nothing: an empty path, or one outside of our cgroup namespace (`/../other`). */
export function isKnownCgroup(path: string): boolean {
  return path.startsWith('/') && !path.split('/').includes('..');
}

/** Is `path` the cgroup `ancestor` or one below it? Whole components count: /a is no ancestor of /ab. */
export function isWithinCgroup(path: string, ancestor: string): boolean {
  return isKnownCgroup(path) && (ancestor === '/' || path === ancestor || path.startsWith(`${ancestor}/`));
}

/** @param pattern a unit's name, or a beginning of names with `*` at its end */
export function matchesUnit(unit: string | undefined, pattern: string): boolean {
  if (unit === undefined) return false;
  return pattern.endsWith('*') ? unit.startsWith(pattern.slice(0, -1)) : unit === pattern;
}
