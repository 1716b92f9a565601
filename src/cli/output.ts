/**
 * Standard output and standard error by write(2), never through node's streams: those make an inherited pipe or terminal
 * non-blocking, and a recorded command that shares it would meet an EAGAIN that it has nothing to do with.
 */
import { writeSync } from 'node:fs';

export function print(text: string): void {
  write(1, text);
}

export function printError(text: string): void {
  write(2, text);
}

const RETRY_MS = 10;
const clock = new Int32Array(new SharedArrayBuffer(4));

function write(fd: number, text: string): void {
  const bytes = Buffer.from(text, 'utf8');
  for (let done = 0; done < bytes.length;) {
    try {
      done += writeSync(fd, bytes, done);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // Somebody else made it non-blocking, and it is full.
      if (code === 'EAGAIN') Atomics.wait(clock, 0, 0, RETRY_MS);
      // A reader that went away (`| head`) is no failure of ours, and nobody is there to be told.
      else if (code === 'EPIPE') process.exit();
      else throw error;
    }
  }
}
