/** Processes to observe. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';

export interface Victim {
  readonly pid: number;
  readonly child: ChildProcess;
  end(): Promise<void>;
}

/** A busy loop of the given user. */
export async function startBusy(uid: number, gid = uid): Promise<Victim> {
  return start(uid, gid, 'while :; do :; done');
}

/** Starts a shell script under a user; resolved once it runs. */
export async function start(uid: number, gid: number, script: string, command = 'sh'): Promise<Victim> {
  const child = spawn(command, ['-c', script], { uid, gid, cwd: '/', stdio: 'ignore' });
  await once(child, 'spawn');
  return {
    pid: child.pid!,
    child,
    end: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const closed = once(child, 'close');
      child.kill('SIGKILL');
      await closed;
    },
  };
}
