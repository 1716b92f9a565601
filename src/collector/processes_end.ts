import type { Poller } from '../native.js';
import { READABLE, native } from '../native.js';

/** Resolves when each of the processes has ended, or is gone already. `dispose` stops waiting. */
export function whenProcessesEnd(pids: readonly number[]): { readonly ended: Promise<void>; dispose: () => void } {
  const watches: { readonly poller: Poller; readonly pidfd: number }[] = [];
  const dispose = (): void => {
    for (const { poller, pidfd } of watches.splice(0)) {
      poller.close();
      native.close(pidfd);
    }
  };
  const ended = Promise.all(
    pids.map(
      (pid) =>
        new Promise<void>((resolve, reject) => {
          let pidfd: number;
          try {
            pidfd = native.pidfdOpen(pid);
          } catch (error) {
            if (error instanceof Error && 'code' in error && error.code === 'ESRCH') resolve();
            else reject(error as Error);
            return;
          }
          // A pidfd becomes readable when its process ends (pidfd_open(2)).
          const poller = native.createPoller(pidfd, () => {
            poller.stop();
            resolve();
          });
          watches.push({ poller, pidfd });
          poller.start(READABLE);
        }),
    ),
  ).then(() => undefined);
  return { ended, dispose };
}
