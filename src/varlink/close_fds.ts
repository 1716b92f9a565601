import { native, type Fd } from '../native.js';

/** Closes every one of them, also when one fails (EBADF: a bug that must show); the first failure is thrown at the end. */
export function closeFds(fds: Iterable<Fd>): void {
  const failures: unknown[] = [];
  for (const fd of fds) {
    try {
      native.close(fd);
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}
