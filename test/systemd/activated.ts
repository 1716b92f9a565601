/** A parent that holds the listening socket as systemd does, and starts perfbrokerd whenever a client waits there. */
import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PERFBROKERD } from '../e2e/daemon.js';

const PARENT = `
import os, select, socket, sys
path, program, policy, audit = sys.argv[1:5]
s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
s.bind(path); s.listen(64); os.chmod(path, 0o666)
print('listening', flush=True)
while True:
    ready, _, _ = select.select([s, 0], [], [])
    if 0 in ready: break
    pid = os.fork()
    if pid == 0:
        os.dup2(s.fileno(), 3); os.set_inheritable(3, True)
        os.environ['LISTEN_FDS'] = '1'; os.environ['LISTEN_PID'] = str(os.getpid())
        os.execv(program, [program, '--policy', policy, '--audit', audit])
    print('started', pid, flush=True)
    _, status = os.waitpid(pid, 0)
    print('ended', os.waitstatus_to_exitcode(status), flush=True)
`;

export interface Activated {
  readonly socket: string;
  readonly policyFile: string;
  /** Events so far: "started PID", "ended CODE". */
  readonly events: string[];
  /** Standard error of all daemons. */
  log(): string;
  /** Resolves when `count` daemons have ended. */
  ended(count: number): Promise<void>;
  end(): Promise<void>;
}

export async function startActivated(policy: string, env: Readonly<Record<string, string>> = {}): Promise<Activated> {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-activated-'));
  chmodSync(directory, 0o755);
  const socket = join(directory, 'broker.sock');
  const policyFile = join(directory, 'policy.toml');
  writeFileSync(policyFile, policy);
  const child: ChildProcess = spawn(
    'python3',
    ['-c', PARENT, socket, PERFBROKERD, policyFile, join(directory, 'audit.log')],
    { stdio: ['pipe', 'pipe', 'pipe'], env: { PATH: process.env['PATH'] ?? '', ...env } },
  );
  const events: string[] = [];
  const waiters = new Set<() => void>();
  let log = '';
  let output = '';
  child.stderr!.on('data', (chunk: Buffer) => (log += chunk.toString()));
  child.stdout!.on('data', (chunk: Buffer) => {
    const lines = (output + chunk.toString()).split('\n');
    output = lines.pop() ?? '';
    events.push(...lines);
    for (const waiter of waiters) waiter();
  });
  const wait = (done: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (!done()) return;
        waiters.delete(look);
        resolve();
      };
      waiters.add(look);
      look();
    });
  await wait(() => events.includes('listening'));
  const count = (word: string): number => events.filter((event) => event.startsWith(word)).length;
  return {
    socket,
    policyFile,
    events,
    log: () => log,
    ended: (number) => wait(() => count('ended') >= number),
    end: async () => {
      child.stdin!.end();
      const running =
        count('started') > count('ended') ? events.findLast((event) => event.startsWith('started')) : undefined;
      if (running !== undefined) process.kill(Number(running.split(' ')[1]), 'SIGTERM');
      await new Promise((resolve) => (child.exitCode === null ? child.once('close', resolve) : resolve(null)));
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
