/** A line of /proc/PID/maps (proc_pid_maps(5)). */
export interface Mapping {
  readonly start: bigint;
  readonly end: bigint;
  readonly offset: bigint;
  /** PROT_READ 1, PROT_WRITE 2, PROT_EXEC 4. */
  readonly protection: number;
  readonly shared: boolean;
  readonly major: number;
  readonly minor: number;
  readonly inode: bigint;
  /** Empty for memory without a file or name. Includes the kernel's ` (deleted)`. */
  readonly path: string;
}

const LINE =
  /^([0-9a-f]{1,16})-([0-9a-f]{1,16}) ([r-])([w-])([x-])([ps]) ([0-9a-f]{1,16}) ([0-9a-f]+):([0-9a-f]+) (\d{1,20}) *(.*)$/;

/** Parses maps; skips lines that are not mappings. */
export function parseMaps(text: string): readonly Mapping[] {
  const mappings: Mapping[] = [];
  for (const line of text.split('\n')) {
    const match = LINE.exec(line);
    if (match === null) continue;
    const [, start = '', end = '', r, w, x, sharing, offset = '', major = '', minor = '', inode = '', path = ''] =
      match;
    mappings.push({
      start: BigInt(`0x${start}`),
      end: BigInt(`0x${end}`),
      offset: BigInt(`0x${offset}`),
      protection: (r === 'r' ? 1 : 0) | (w === 'w' ? 2 : 0) | (x === 'x' ? 4 : 0),
      shared: sharing === 's',
      major: parseInt(major, 16),
      minor: parseInt(minor, 16),
      inode: BigInt(inode),
      // The kernel escapes newlines in paths, and nothing else (seq_path in fs/seq_file.c).
      path: path.replaceAll('\\012', '\n'),
    });
  }
  return mappings;
}
