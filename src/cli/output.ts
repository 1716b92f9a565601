/**
 * Standard output and standard error by write(2), never through Node.js's streams. These make an inherited pipe or
 * terminal non-blocking, and a recorded command that shares it would get EAGAIN.
 */
import { writeSync } from 'node:fs';
import { isatty } from 'node:tty';

/** @returns false when standard output has no reader left (`| head`), so that endless output may end */
export function print(text: string): boolean {
  return write(1, text);
}

/** @returns false when standard error has no reader left */
export function printError(text: string): boolean {
  return write(2, text);
}

const RETRY_MS = 10;
const clock = new Int32Array(new SharedArrayBuffer(4));

/**
 * A reader that went away is not a failure and ends nothing by itself: a recording is completed, a started command is
 * waited for, and the exit code does not change. The text is dropped.
 */
function write(fd: number, text: string): boolean {
  const bytes = Buffer.from(text, 'utf8');
  for (let done = 0; done < bytes.length;) {
    try {
      done += writeSync(fd, bytes, done);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // Another process made it non-blocking, and it is full.
      if (code === 'EAGAIN') Atomics.wait(clock, 0, 0, RETRY_MS);
      // EIO: the terminal was hung up, as when its window is closed.
      else if (code === 'EPIPE' || (code === 'EIO' && isatty(fd))) return false;
      else throw error;
    }
  }
  return true;
}
