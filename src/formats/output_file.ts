import { constants, lstatSync, openSync, renameSync } from 'node:fs';

/** The output path names something that must not be replaced by a profile. */
export class OutputFileError extends Error {
  override readonly name = 'OutputFileError';
}

/**
 * Creates a new file of mode 0600 for a profile: what a process does is nobody else's business. An older regular file
 * of that name is kept as `NAME.old`, as perf does. Nothing is followed or overwritten: a symbolic link, a directory or a
 * device at `path` is refused, and a file that appears meanwhile fails with EEXIST.
 * @returns fd, open for reading and writing, close-on-exec.
 * @throws OutputFileError, or the system's error.
 */
export function createOutputFile(path: string): number {
  const existing = lstatSync(path, { throwIfNoEntry: false });
  if (existing !== undefined) {
    if (existing.isSymbolicLink()) throw new OutputFileError(`${path} is a symbolic link`);
    if (!existing.isFile()) throw new OutputFileError(`${path} is not a regular file`);
    renameSync(path, `${path}.old`);
  }
  return openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
}
