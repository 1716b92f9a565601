/** Holding the mutex of a perf context, by lock_holder.c. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';
import { listenTo } from './said.js';

export interface HeldContext {
  /** False after a minute as well: then the test was too slow to show anything. */
  readonly holding: () => boolean;
  /** Resolves when the mutex is free. Idempotent. */
  readonly release: () => Promise<void>;
}

/**
 * Resolves when the mutex is held.
 * @param tool path of the compiled lock_holder
 * @param fd an event of process `pid`; the holder keeps a duplicate of it until it is released
 * @returns null when this kernel has no userfaultfd
 */
export async function holdContext(tool: string, pid: number, fd: number): Promise<HeldContext | null> {
  const holder = spawn(tool, [String(pid), String(fd)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(holder, 'close');
  try {
    await listenTo(holder, 'stdout').match(/holding/);
  } catch (error) {
    if (holder.exitCode === 77) return null;
    throw error;
  }
  return {
    holding: () => holder.exitCode === null && holder.signalCode === null,
    release: async () => {
      holder.stdin.end();
      await ended;
    },
  };
}

/** Printed where a test cannot hold a mutex. */
export const NO_HOLDER = 'this kernel has no userfaultfd';

/** The perf events that a process has open, in the order in which it opened them. */
export function perfEventsOf(pid: number): number[] {
  const isEvent = (fd: string): boolean => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`) === 'anon_inode:[perf_event]';
    } catch {
      return false;
    }
  };
  return readdirSync(`/proc/${pid}/fd`).filter(isEvent).map(Number);
}
