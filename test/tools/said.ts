/** Output of a child process, and waiting for it. */
import type { ChildProcess } from 'node:child_process';

export interface Said {
  readonly text: () => string;
  /**
   * Resolves when it has said this.
   * @param from where in the text to begin
   * @throws Error when it has ended without
   */
  readonly match: (pattern: RegExp, from?: number) => Promise<void>;
}

export function listenTo(child: ChildProcess, stream: 'stdout' | 'stderr'): Said {
  let text = '';
  // Not exitCode, which is set when there still may be something to read.
  let closed = false;
  const waiters = new Set<() => void>();
  const wake = (): void => {
    for (const waiter of waiters) waiter();
  };
  child[stream]?.on('data', (chunk: Buffer) => {
    text += chunk.toString();
    wake();
  });
  child.once('close', () => {
    closed = true;
    wake();
  });
  return {
    text: () => text,
    match: (pattern, from = 0) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (pattern.test(text.slice(from))) resolve();
          else if (closed)
            reject(
              new Error(
                `${child.spawnfile} ended (${child.exitCode ?? child.signalCode}) without ${String(pattern)}: ${text}`,
              ),
            );
          else return;
          waiters.delete(look);
        };
        waiters.add(look);
        look();
      }),
  };
}
