import { writeSync } from 'node:fs';

/**
 * write(2), or pwrite(2) when `position` is given, until every byte is out.
 * @throws the system's error (ENOSPC, EFBIG, EIO); bytes before it may have been written.
 */
export function writeFully(fd: number, bytes: Uint8Array, position: number | null = null): void {
  for (let done = 0; done < bytes.length;) {
    done += writeSync(fd, bytes, done, bytes.length - done, position === null ? null : position + done);
  }
}
