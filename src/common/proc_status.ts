/** Privileges of a thread from /proc/PID/status. Pure: the caller reads the file and passes its text. */

const EMPTY_SETS = ['CapInh', 'CapPrm', 'CapEff', 'CapAmb'] as const;

/** `Name:\tvalue` lines of a proc status file. */
export function statusFields(text: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const line of text.split('\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  return fields;
}

/**
 * Privileges that a thread holds: a capability in a set other than the bounding set, or root's user or group id. A field
 * that is missing counts as held.
 */
export function privilegesIn(fields: ReadonlyMap<string, string>): readonly string[] {
  const held: string[] = EMPTY_SETS.filter((set) => !/^0+$/.test(fields.get(set) ?? ''));
  for (const ids of ['Uid', 'Gid']) if ((fields.get(ids) ?? '0').split(/\s+/).includes('0')) held.push(ids);
  return held.map((name) => `${name} is ${fields.get(name) ?? 'absent'}`);
}
