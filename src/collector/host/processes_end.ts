import { readFileSync } from 'node:fs';
import type { Fd } from '../../native.js';
import { READABLE, native } from '../../native.js';

/** Stops waiting for one process. */
type Stop = () => void;

/** Time between two looks at a process without a pidfd. */
const POLL_INTERVAL_MS = 200;

/** Waits until every process has ended; one that is already gone counts. `dispose` stops waiting. */
export function whenProcessesEnd(pids: readonly number[]): { readonly ended: Promise<void>; dispose: () => void } {
  const stops: Stop[] = [];
  return {
    ended: Promise.all(pids.map((pid) => endOf(pid, stops))).then(() => undefined),
    dispose: () => {
      for (const stop of stops.splice(0)) stop();
    },
  };
}

async function endOf(pid: number, stops: Stop[]): Promise<void> {
  const pidfd = pidfdOf(pid);
  if (pidfd === 'gone') return;
  if (pidfd === 'refused') return endWithoutPidfd(pid, stops);
  await new Promise<void>((resolve) => {
    // A pidfd becomes readable when its process ends (pidfd_open(2)).
    const poller = native.createPoller(pidfd, () => {
      poller.stop();
      resolve();
    });
    stops.push(() => {
      poller.close();
      native.close(pidfd);
    });
    poller.start(READABLE);
  });
}

/** For processes under a seccomp filter that refuses pidfds. A process that got the same number later has another start time. */
async function endWithoutPidfd(pid: number, stops: Stop[]): Promise<void> {
  const start = startOf(pid);
  if (start === undefined) return;
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      if (startOf(pid) === start) return;
      clearInterval(timer);
      resolve();
    }, POLL_INTERVAL_MS);
    stops.push(() => clearInterval(timer));
  });
}

/** @returns undefined when the process has ended; a zombie has */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in field 2 may hold spaces and brackets: count from the last one. Field 3 is the state, field 22 the start.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

function pidfdOf(pid: number): Fd | 'gone' | 'refused' {
  try {
    return native.pidfdOpen(pid);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (code === 'ESRCH') return 'gone';
    if (code === 'EPERM' || code === 'ENOSYS') return 'refused';
    throw error;
  }
}
