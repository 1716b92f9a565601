/**
 * Standard output and standard error by write(2), never through node's streams: those make an inherited pipe or terminal
 * non-blocking, and a recorded command that shares it would meet an EAGAIN that it has nothing to do with.
 */
import { writeSync } from 'node:fs';
import { isatty } from 'node:tty';

/** @returns false when nobody reads standard output any more (`| head`): whoever prints on and on may end. */
export function print(text: string): boolean {
  return write(1, text);
}

/** @returns false when nobody reads standard error any more */
export function printError(text: string): boolean {
  return write(2, text);
}

const RETRY_MS = 10;
const clock = new Int32Array(new SharedArrayBuffer(4));

/**
 * A reader that went away is no failure of ours, and ends nothing by itself: a recording is completed, a command that was
 * started is waited for, and the exit code stays what it is. The text has nobody to go to.
 */
function write(fd: number, text: string): boolean {
  const bytes = Buffer.from(text, 'utf8');
  for (let done = 0; done < bytes.length;) {
    try {
      done += writeSync(fd, bytes, done);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // Somebody else made it non-blocking, and it is full.
      if (code === 'EAGAIN') Atomics.wait(clock, 0, 0, RETRY_MS);
      // EIO: a terminal that was hung up, as when its window is closed.
      else if (code === 'EPIPE' || (code === 'EIO' && isatty(fd))) return false;
      else throw error;
    }
  }
  return true;
}
