import posix from 'posix';

/** User and group names to numbers; injected, so that tests and other hosts' policies can be read anywhere. */
export interface NameResolver {
  /** @returns undefined when there is no such user */
  user(name: string): number | undefined;
  /** @returns undefined when there is no such group */
  group(name: string): number | undefined;
}

/** getpwnam(3) and getgrnam(3): whatever nsswitch.conf(5) names. */
export const systemNames: NameResolver = {
  user: (name) => lookUp(() => posix.getpwnam(name).uid),
  group: (name) => lookUp(() => posix.getgrnam(name).gid),
};

function lookUp(call: () => number): number | undefined {
  try {
    return call();
  } catch {
    // posix throws for an unknown name, without a code to tell that from a directory that does not answer. Either way
    // the name stands for nobody, and a policy that needs it is refused.
    return undefined;
  }
}
