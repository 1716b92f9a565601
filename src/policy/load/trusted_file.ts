import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';
import { PolicyError, type PolicyProblem } from '../error.js';

/** Bytes; a policy of a thousand rules is a quarter of it. */
export const MAXIMUM_BYTES: number = 256 * 1024;

export interface OpenedFile {
  /** Owned by the caller. */
  readonly fd: number;
  /** Why the broker would not trust it; empty unless problems were asked for. */
  readonly distrust: readonly PolicyProblem[];
}

/**
 * What to do with a file that somebody else than root could have written.
 * 'refuse': it is an error (the broker). 'tell': it is read all the same (`perfbroker policy check`).
 */
export type Distrust = 'refuse' | 'tell';

/**
 * The text of a policy file, which must be a regular file, owned by root, and writable by nobody else. It is opened once
 * and everything is asked of that fd, so that what was checked is what is read.
 * @param path where to open it
 * @param file what to call it in messages
 * @throws PolicyError; a file that does not exist gives undefined
 */
export function readTrusted(
  path: string,
  file: string,
  distrust: Distrust,
): { text: string; distrust: readonly PolicyProblem[] } | undefined {
  const opened = openTrusted(path, file, 'file', distrust);
  if (opened === undefined) return undefined;
  try {
    return { text: decode(readAll(opened.fd, file), file), distrust: opened.distrust };
  } finally {
    closeSync(opened.fd);
  }
}

/** Opens a file or a directory and checks whose it is. @returns undefined when it does not exist */
export function openTrusted(
  path: string,
  file: string,
  kind: 'file' | 'directory',
  distrust: Distrust,
): OpenedFile | undefined {
  const problems: PolicyProblem[] = [];
  // O_NONBLOCK: a FIFO must not keep the broker waiting.
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | (kind === 'directory' ? constants.O_DIRECTORY : 0);
  let fd: number | undefined;
  try {
    fd = openOrUndefined(path, flags | constants.O_NOFOLLOW, file);
  } catch (error) {
    if (distrust === 'refuse' || !(error instanceof PolicyError) || !isLink(error)) throw error;
    problems.push(...error.problems);
    fd = openOrUndefined(path, flags, file);
  }
  if (fd === undefined) return undefined;
  try {
    const status = fstatSync(fd);
    if (kind === 'file' && !status.isFile()) {
      throw new PolicyError({ file, message: 'is no regular file', remedy: 'Name a file.' });
    }
    problems.push(...distrustOf(status, file, kind));
    const [first, ...others] = problems;
    if (distrust === 'refuse' && first !== undefined) throw new PolicyError(first, ...others);
    return { fd, distrust: problems };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function distrustOf({ uid, mode }: Stats, file: string, kind: string): PolicyProblem[] {
  const problems: PolicyProblem[] = [];
  if (uid !== 0)
    problems.push({ file, message: `the ${kind} belongs to uid ${uid}, not to root`, remedy: `chown root ${file}` });
  if ((mode & 0o022) !== 0) {
    const octal = (mode & 0o7777).toString(8).padStart(4, '0');
    const message = `others than its owner may write to the ${kind} (mode ${octal})`;
    problems.push({ file, message, remedy: `chmod go-w ${file}` });
  }
  return problems;
}

const LINK = 'is a symbolic link';

function isLink(error: PolicyError): boolean {
  return error.problems[0]?.message === LINK;
}

function openOrUndefined(path: string, flags: number, file: string): number | undefined {
  try {
    return openSync(path, flags);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    switch (code) {
      case 'ENOENT':
        return undefined;
      case 'EACCES':
        throw new PolicyError({
          file,
          message: `the broker (uid ${process.geteuid?.() ?? '?'}) may not read it`,
          remedy: `chmod 0644 ${file}, or chmod 0640 and chgrp to the broker's group; its directories need the x bit.`,
        });
      case 'ELOOP':
        throw new PolicyError({ file, message: LINK, remedy: 'Name the file itself.' });
      case 'ENOTDIR':
        throw new PolicyError({
          file,
          message: 'is no directory (or a link to one), or lies below something that is no directory',
          remedy: 'Correct the path.',
        });
      default:
        throw new PolicyError({ file, message: `can not be opened: ${message}`, remedy: 'Correct the path.' });
    }
  }
}

function readAll(fd: number, file: string): Buffer {
  // One more than allowed, so that a file that grows after fstat is noticed too.
  const buffer = Buffer.alloc(MAXIMUM_BYTES + 1);
  let length = 0;
  while (length < buffer.length) {
    const bytes = readSync(fd, buffer, length, buffer.length - length, null);
    if (bytes === 0) return buffer.subarray(0, length);
    length += bytes;
  }
  throw new PolicyError({
    file,
    message: `is longer than ${MAXIMUM_BYTES / 1024} KiB`,
    remedy: 'Spread the rules over several files in policy.d.',
  });
}

function decode(bytes: Buffer, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new PolicyError({ file, message: 'is not UTF-8', remedy: 'Save it as UTF-8.' });
  }
}
