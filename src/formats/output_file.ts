import { constants, lstatSync, openSync, renameSync, rmSync } from 'node:fs';

/** The output path names something that must not be replaced by a profile. */
export class OutputFileError extends Error {
  override readonly name = 'OutputFileError';
}

export interface NewOutputFile {
  /** Open for reading and writing, close-on-exec; the caller's. */
  readonly fd: number;
  /** Removes the file, which nobody gets anything from, and gives the one that it replaced its name back. */
  discard(): void;
}

/**
 * Creates a new file of mode 0600 for a profile: what a process does is nobody else's business. An older regular file
 * of that name is kept as `NAME.old`, as perf does. Nothing is followed or overwritten: a symbolic link, a directory or a
 * device at `path` is refused, and a file that appears meanwhile fails with EEXIST.
 * @throws OutputFileError, or the system's error.
 */
export function openOutputFile(path: string): NewOutputFile {
  const existing = lstatSync(path, { throwIfNoEntry: false });
  const old = `${path}.old`;
  if (existing !== undefined) {
    if (existing.isSymbolicLink()) throw new OutputFileError(`${path} is a symbolic link`);
    if (!existing.isFile()) throw new OutputFileError(`${path} is not a regular file`);
    renameSync(path, old);
  }
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
  return {
    fd,
    discard: () => {
      rmSync(path, { force: true });
      const kept = existing === undefined ? undefined : lstatSync(old, { throwIfNoEntry: false });
      if (kept?.ino === existing?.ino && kept !== undefined) renameSync(old, path);
    },
  };
}

/** {@link openOutputFile} for a file that stays, whatever comes. @returns its fd */
export function createOutputFile(path: string): number {
  return openOutputFile(path).fd;
}
