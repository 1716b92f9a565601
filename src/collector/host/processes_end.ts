import type { Fd, Poller } from '../../native.js';
import { READABLE, native } from '../../native.js';

interface Watch {
  readonly poller: Poller;
  readonly pidfd: Fd;
}

/** Waits until every process has ended; one that is already gone counts. `dispose` stops waiting. */
export function whenProcessesEnd(pids: readonly number[]): { readonly ended: Promise<void>; dispose: () => void } {
  const watches: Watch[] = [];
  return {
    ended: Promise.all(pids.map((pid) => endOf(pid, watches))).then(() => undefined),
    dispose: () => {
      for (const { poller, pidfd } of watches.splice(0)) {
        poller.close();
        native.close(pidfd);
      }
    },
  };
}

async function endOf(pid: number, watches: Watch[]): Promise<void> {
  const pidfd = pidfdOf(pid);
  if (pidfd === 'gone') return;
  await new Promise<void>((resolve) => {
    // A pidfd becomes readable when its process ends (pidfd_open(2)).
    const poller = native.createPoller(pidfd, () => {
      poller.stop();
      resolve();
    });
    watches.push({ poller, pidfd });
    poller.start(READABLE);
  });
}

function pidfdOf(pid: number): Fd | 'gone' {
  try {
    return native.pidfdOpen(pid);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return 'gone';
    throw error;
  }
}
