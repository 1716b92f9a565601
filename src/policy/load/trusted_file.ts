import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';
import { PolicyError, type PolicyProblem } from '../error.js';

/** Bytes; a policy of a thousand rules has a quarter of them. */
export const MAXIMUM_BYTES: number = 256 * 1024;

export interface OpenedFile {
  /** Owned by the caller. */
  readonly fd: number;
  /** Reasons why the broker would not trust the file; empty with 'refuse'. */
  readonly distrust: readonly PolicyProblem[];
}

/**
 * Treatment of a file that another user than root can write.
 * 'refuse': an error (the broker). 'tell': read, with the reasons (`perfbroker policy check`).
 */
export type Distrust = 'refuse' | 'tell';

/**
 * Reads a policy file, which must be a regular file that root owns and no other user can write. It is opened once, and checked
 * and read through that fd, so the checked file is the one that is read.
 * @param path to open
 * @param file its name in messages
 * @returns undefined when it does not exist
 * @throws PolicyError
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

/** Opens a file or directory and checks owner and mode. @returns undefined when it does not exist */
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
    fd = openOrUndefined(path, flags | constants.O_NOFOLLOW, file, distrust);
  } catch (error) {
    if (distrust === 'refuse' || !(error instanceof PolicyError) || !isLink(error)) throw error;
    problems.push(...error.problems);
    fd = openOrUndefined(path, flags, file, distrust);
  }
  if (fd === undefined) return undefined;
  try {
    const status = fstatSync(fd);
    if (kind === 'file' && !status.isFile()) {
      throw new PolicyError({ file, message: 'is not a regular file', remedy: 'Name a regular file.' });
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
    const message = `other users than the owner may write to the ${kind} (mode ${octal})`;
    problems.push({ file, message, remedy: `chmod go-w ${file}` });
  }
  return problems;
}

const LINK = 'is a symbolic link';

function isLink(error: PolicyError): boolean {
  return error.problems[0]?.message === LINK;
}

function openOrUndefined(path: string, flags: number, file: string, distrust: Distrust): number | undefined {
  try {
    return openSync(path, flags);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    switch (code) {
      case 'ENOENT':
        return undefined;
      case 'EACCES':
        throw new PolicyError({ file, ...unreadable(process.geteuid?.() ?? -1, distrust) });
      case 'ELOOP':
        throw new PolicyError({ file, message: LINK, remedy: 'Name the file that it points to.' });
      case 'ENOTDIR':
        throw new PolicyError({
          file,
          message: 'is not a directory, or is below a path that is not a directory',
          remedy: 'Correct the path.',
        });
      default:
        throw new PolicyError({ file, message: `cannot be opened: ${message}`, remedy: 'Correct the path.' });
    }
  }
}

/** The broker reads with 'refuse'; `perfbroker policy check` is another process, often of another user. */
function unreadable(uid: number, distrust: Distrust): Pick<PolicyProblem, 'message' | 'remedy'> {
  return distrust === 'refuse'
    ? {
        message: `the broker (uid ${uid}) cannot read it`,
        remedy: "Let the broker's user or group read the file and search the directories above it.",
      }
    : { message: `you (uid ${uid}) cannot read it`, remedy: 'Root can check it.' };
}

function readAll(fd: number, file: string): Buffer {
  // One byte more than allowed: it shows a file that grew after fstat.
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
