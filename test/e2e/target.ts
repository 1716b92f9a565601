/** Processes to observe. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

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
  // A test that is killed leaves nothing behind that takes a cpu from the others.
  const identity = [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--pdeathsig=KILL'];
  // sh looks for the command as the user: setpriv would find it where root alone may look.
  const find = ['sh', '-c', 'exec "$0" -c "$1"', command, script];
  const child = spawn('setpriv', [...identity, '--', ...find], { cwd: '/', stdio: 'ignore' });
  await once(child, 'spawn');
  while (child.exitCode === null && readFileSync(`/proc/${child.pid!}/comm`, 'latin1') === 'setpriv\n') await sleep(2);
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
