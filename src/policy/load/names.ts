import { native } from '../../native.js';

/** Maps names of users and groups to numbers. Injected, so that policies of tests and other hosts can be read. */
export interface NameResolver {
  /** @returns undefined when there is no such user */
  readonly user: (name: string) => number | undefined;
  /** @returns undefined when there is no such group */
  readonly group: (name: string) => number | undefined;
}

/** Names of this machine, from every source that nsswitch.conf(5) lists. */
export const systemNames: NameResolver = {
  user: (name) => lookUp(name, () => native.userId(name)),
  group: (name) => lookUp(name, () => native.groupId(name)),
};

function lookUp(name: string, find: () => number | null): number | undefined {
  // C would read "root\0x" as root.
  if (name === '' || name.includes('\0')) return undefined;
  try {
    return find() ?? undefined;
  } catch {
    // The source does not answer. A policy that needs the name is refused, as it is for an unknown name.
    return undefined;
  }
}
