import { spawn } from 'node:child_process';
import type { ObservedCommand } from '#dist/collector/observed_command.js';

/** Starts a shell that becomes the command when it is released: the exec is what enables the events. */
export function startGated(command: readonly string[]): ObservedCommand {
  const child = spawn('sh', ['-c', 'read -r line && exec "$@"', 'sh', ...command], {
    stdio: ['pipe', 'inherit', 'inherit'],
  });
  if (child.pid === undefined) throw new Error('no pid');
  const exited = new Promise<number>((resolve) => child.once('exit', (code) => resolve(code ?? -1)));
  return { pid: child.pid, exited, executed: Promise.resolve(0), release: () => void child.stdin.end('\n') };
}
