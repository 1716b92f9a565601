/** File descriptors of another process. */
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds without a change after which nothing more is expected to be closed. */
const QUIET_MS = 300;

export function openFds(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/**
 * Number of fds that a service has open once it has noticed which clients are gone: a client of an earlier test may have
 * ended a moment ago. A test compares it with the number after another client has come and gone.
 * @throws Error when they do not come to rest within ten seconds
 */
export async function settledFds(pid: number): Promise<number> {
  let fds = openFds(pid);
  const end = Date.now() + 10_000;
  for (let since = Date.now(); Date.now() - since < QUIET_MS;) {
    await sleep(10);
    const now = openFds(pid);
    if (now === fds) continue;
    if (Date.now() > end) throw new Error(`the fds of process ${pid} do not come to rest: ${fds}, then ${now}`);
    fds = now;
    since = Date.now();
  }
  return fds;
}

/**
 * Waits until a process has no more fds open than it had.
 * @param before {@link settledFds} then
 * @throws Error when it still has after ten seconds
 */
export async function fdsBackTo(pid: number, before: number): Promise<void> {
  for (const end = Date.now() + 10_000; openFds(pid) > before; await sleep(10))
    if (Date.now() > end) throw new Error(`process ${pid} has ${openFds(pid)} fds open, and had ${before} before`);
}
