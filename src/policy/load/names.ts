import posix from 'posix';

/** User and group names to numbers; injected, so that tests and other hosts' policies can be read anywhere. */
export interface NameResolver {
  /** @returns undefined when there is no such user */
  readonly user: (name: string) => number | undefined;
  /** @returns undefined when there is no such group */
  readonly group: (name: string) => number | undefined;
}

/** getpwnam(3) and getgrnam(3): whatever nsswitch.conf(5) names. */
export const systemNames: NameResolver = {
  user: (name) => lookUp(name, () => posix.getpwnam(name).uid),
  group: (name) => lookUp(name, () => posix.getgrnam(name).gid),
};

function lookUp(name: string, call: () => number): number | undefined {
  // C would read "root\0x" as root.
  if (name.includes('\0')) return undefined;
  try {
    return call();
  } catch {
    // posix throws for an unknown name, without a code to tell that from a directory that does not answer. Either way
    // the name stands for nobody, and a policy that needs it is refused.
    return undefined;
  }
}
