import { closeSync, constants, linkSync, lstatSync, openSync, renameSync, rmSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';

/** The output path names something that must not be replaced by a profile. */
export class OutputFileError extends Error {
  override readonly name = 'OutputFileError';
}

export interface NewOutputFile {
  /** Open for reading and writing, close-on-exec; the caller's. */
  readonly fd: number;
  /**
   * Gives the file its name, and an older file of that name the name `NAME.old`. Idempotent.
   * @throws OutputFileError, or the system's error: then the file does not have its name. An older file may be `NAME.old` by then.
   */
  readonly place: () => void;
  /** Removes the file unless it was placed. What had the name keeps it. Idempotent. */
  readonly discard: () => void;
}

/**
 * Creates a new file of mode 0600 for a profile: no other user has a right to see what a process does. The file has a
 * temporary name in the directory of `path` until it is placed, so that a failure before that costs neither an older
 * profile nor the one that is kept as `NAME.old`, as perf does. Nothing is followed or overwritten: a symbolic link, a
 * directory or a device at `path` is refused.
 * @throws OutputFileError, or the system's error.
 */
export function openOutputFile(path: string): NewOutputFile {
  requireReplaceable(path);
  const temporary = join(dirname(path), `.perfbroker-${randomBytes(8).toString('hex')}`);
  const fd = create(temporary, path);
  let state: 'temporary' | 'placed' | 'discarded' = 'temporary';
  return {
    fd,
    place: () => {
      if (state !== 'temporary') return;
      takePlace(temporary, path);
      state = 'placed';
    },
    discard: () => {
      if (state !== 'temporary') return;
      state = 'discarded';
      rmSync(temporary, { force: true });
    },
  };
}

/** @throws the system's error, in words about `path`: its reader does not know of the temporary name */
function create(temporary: string, path: string): number {
  try {
    return openSync(temporary, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
  } catch (error) {
    const { message } = error as Error;
    throw Object.assign(error as Error, { message: message.replace(temporary, path), path });
  }
}

/** {@link openOutputFile} for a file that stays, whatever comes. @returns its fd */
export function createOutputFile(path: string): number {
  const file = openOutputFile(path);
  try {
    file.place();
  } catch (error) {
    file.discard();
    closeSync(file.fd);
    throw error;
  }
  return file.fd;
}

/** @returns whether there is a file that an output at `path` replaces */
function requireReplaceable(path: string): boolean {
  const existing = lstatSync(path, { throwIfNoEntry: false });
  if (existing === undefined) return false;
  if (existing.isSymbolicLink()) throw new OutputFileError(`${path} is a symbolic link`);
  if (!existing.isFile()) throw new OutputFileError(`${path} is not a regular file`);
  if (lstatSync(`${path}.old`, { throwIfNoEntry: false })?.isDirectory() === true)
    throw new OutputFileError(`${path}.old is a directory`);
  return true;
}

function takePlace(temporary: string, path: string): void {
  if (requireReplaceable(path)) renameSync(path, `${path}.old`);
  try {
    // Unlike rename(2), link(2) does not replace a file that appeared in the meantime.
    linkSync(temporary, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw error;
    renameSync(temporary, path); // a file system without links
    return;
  }
  rmSync(temporary);
}
