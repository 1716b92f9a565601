/** A process that has no file descriptor left, for as long as a function runs. */
import { createRequire } from 'node:module';
import type posixModule from 'posix';
import { native, type Fd } from '#dist/native.js';

type Posix = Pick<typeof posixModule, 'getrlimit' | 'setrlimit'>;

/**
 * The npm package posix, or null. It is compiled against V8 itself, so it may be missing, or compiled for another version
 * of Node.js.
 */
function loadPosix(): Posix | null {
  try {
    return createRequire(import.meta.url)('posix') as Posix;
  } catch {
    return null;
  }
}

/** Runs `action` while no fd can be opened: with a limit of three fds, or, without posix, with every number in use. */
export function withNoFdsLeft(action: () => void, posix: Posix | null = loadPosix()): void {
  if (posix === null) return withAllTaken(action);
  const { soft, hard } = posix.getrlimit('nofile');
  posix.setrlimit('nofile', { soft: 3, hard });
  try {
    action();
  } finally {
    posix.setrlimit('nofile', { soft, hard });
  }
}

function withAllTaken(action: () => void): void {
  const taken = takeAll();
  try {
    action();
  } finally {
    for (const fd of taken) native.close(fd);
  }
}

function takeAll(): Fd[] {
  const taken: Fd[] = [];
  try {
    for (;;) taken.push(native.duplicate(0));
  } catch {
    return taken; // EMFILE
  }
}
