import { closeSync, constants, linkSync, lstatSync, openSync, renameSync, rmSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';

/** The output path names something that a profile must not replace. */
export class OutputFileError extends Error {
  override readonly name = 'OutputFileError';
}

/**
 * A new file for a profile. Until it is placed it has a temporary name in the directory of its path, so that a failure
 * before that costs neither an older profile nor the one kept as `NAME.old`, as perf keeps it. A file that was not
 * placed is removed at the end of `using`.
 */
export class OutputFile implements Disposable {
  /** Open for reading and writing, close-on-exec. */
  readonly fd: number;
  readonly #path: string;
  readonly #temporary: string;
  #name: 'temporary' | 'final' | 'removed';
  #fdTaken = false;

  /**
   * Creates a file of mode 0600: no other user has a right to see what a process does. Nothing is followed or
   * overwritten: a symbolic link, a directory or a device at `path` is refused.
   * @throws OutputFileError, or the system's error
   */
  static create(path: string): OutputFile {
    requireReplaceable(path);
    const temporary = join(dirname(path), `.perfbroker-${randomBytes(8).toString('hex')}`);
    return new OutputFile(createExclusively(temporary, path), path, temporary, 'temporary');
  }

  /** A file that is already open and has its name from the process that opened it. Placing it does nothing. */
  static adopt(fd: number): OutputFile {
    return new OutputFile(fd, '', '', 'final');
  }

  private constructor(fd: number, path: string, temporary: string, name: 'temporary' | 'final') {
    this.fd = fd;
    this.#path = path;
    this.#temporary = temporary;
    this.#name = name;
  }

  /** Transfers the ownership of {@link fd} to the caller. */
  takeFd(): number {
    this.#fdTaken = true;
    return this.fd;
  }

  /**
   * Gives the file its name, and an older file of that name the name `NAME.old`. Idempotent.
   * @throws OutputFileError, or the system's error: the file then does not have its name; an older file may already be
   * `NAME.old`
   */
  place(): void {
    if (this.#name !== 'temporary') return;
    takePlace(this.#temporary, this.#path);
    this.#name = 'final';
  }

  /** Removes the file unless it was placed; a file that had the name before keeps it. Idempotent. */
  discard(): void {
    if (this.#name !== 'temporary') return;
    this.#name = 'removed';
    rmSync(this.#temporary, { force: true });
  }

  [Symbol.dispose](): void {
    if (!this.#fdTaken) closeSync(this.takeFd());
    this.discard();
  }
}

/** @throws the system's error, about `path`: a user does not know the temporary name */
function createExclusively(temporary: string, path: string): number {
  try {
    return openSync(temporary, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
  } catch (error) {
    const { message } = error as Error;
    throw Object.assign(error as Error, { message: message.replace(temporary, path), path });
  }
}

/**
 * Checks that an output may have this path. @returns true when there is a file that it replaces
 * @throws OutputFileError, or the system's error (ENAMETOOLONG)
 */
export function requireReplaceable(path: string): boolean {
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
