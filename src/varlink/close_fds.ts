import { native, type Fd } from '../native.js';

/** Closes every one of them, also when one fails (EBADF: a bug that must show); the first failure is thrown at the end. */
export function closeFds(fds: Iterable<Fd>): void {
  closeEach(fds, (fd) => native.close(fd));
}

/** The same for fds that a peer sent: closing them never blocks the event loop. */
export function closeForeignFds(fds: Iterable<Fd>): void {
  closeEach(fds, (fd) => native.closeForeign(fd));
}

function closeEach(fds: Iterable<Fd>, close: (fd: Fd) => void): void {
  const failures: unknown[] = [];
  for (const fd of fds) {
    try {
      close(fd);
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}
