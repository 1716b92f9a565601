import { writeSync } from 'node:fs';

/**
 * Writes all bytes, by write(2), or by pwrite(2) when `position` is given.
 * @throws the system's error (ENOSPC, EFBIG, EIO); some bytes may have been written
 */
export function writeFully(fd: number, bytes: Uint8Array, position: number | null = null): void {
  for (let done = 0; done < bytes.length;) {
    done += writeSync(fd, bytes, done, bytes.length - done, position === null ? null : position + done);
  }
}
