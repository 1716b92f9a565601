import { spawn, type ChildProcess } from 'node:child_process';
import { listenTo, type Said } from './said.js';

/** An interactive shell on a terminal of its own: job control works as for a user. */
export interface Terminal extends Disposable {
  readonly output: Said;
  /** Types text. */
  type(text: string): void;
  readonly ended: Promise<void>;
}

/** Makes the terminal, and copies both ways. */
const DRIVER = `
import os, pty, sys, select
pid, terminal = pty.fork()
if pid == 0:
    os.execvp('bash', ['bash', '--norc', '--noprofile', '--noediting', '-i'])
while True:
    ready, _, _ = select.select([0, terminal], [], [])
    if terminal in ready:
        try: data = os.read(terminal, 65536)
        except OSError: break
        if not data: break
        os.write(1, data)
    if 0 in ready:
        data = os.read(0, 65536)
        if not data: break
        os.write(terminal, data)
`;

export function openTerminal(options: {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly uid: number;
}): Terminal {
  const { uid, cwd, env } = options;
  const child: ChildProcess = spawn('python3', ['-c', DRIVER], {
    stdio: ['pipe', 'pipe', 'inherit'],
    cwd,
    env: { ...env, PS1: 'prompt> ', TERM: 'xterm' },
    uid,
    gid: uid,
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  return {
    output: listenTo(child, 'stdout'),
    type: (text) => void child.stdin?.write(text),
    ended,
    [Symbol.dispose]: () => void child.stdin?.end(),
  };
}
