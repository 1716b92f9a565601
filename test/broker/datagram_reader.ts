/** A datagram socket of the test's own, read by a child: node has none for AF_UNIX. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PROGRAM = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('ready', flush=True)
while True: print(s.recv(1 << 20).hex(), flush=True)
`;

export interface DatagramReader {
  readonly path: string;
  /** Texts of all that has come. */
  readonly received: string[];
  /** The same as bytes. */
  readonly bytes: Buffer[];
  /** Resolves when so many have come. */
  until(count: number): Promise<void>;
  /** Resolves when one has come that `matches`. */
  seen(matches: (text: string) => boolean): Promise<string>;
  /** Stops reading, so that the queue fills; and goes on. */
  stop(): void;
  continue(): void;
  end(): void;
}

export async function startDatagramReader(): Promise<DatagramReader> {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-datagram-'));
  const path = join(directory, 'socket');
  const child = spawn('python3', ['-c', PROGRAM, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  const received: string[] = [];
  const bytes: Buffer[] = [];
  let ready = false;
  let rest = '';
  const waiters = new Set<() => void>();
  child.stdout.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (ready) bytes.push(Buffer.from(line, 'hex'));
      if (ready) received.push(bytes.at(-1)?.toString() ?? '');
      ready = true;
    }
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
  await wait(() => ready);
  return {
    path,
    received,
    bytes,
    until: (count) => wait(() => received.length >= count),
    seen: async (matches) => {
      await wait(() => received.some(matches));
      return received.find(matches) ?? '';
    },
    stop: () => void child.kill('SIGSTOP'),
    continue: () => void child.kill('SIGCONT'),
    end: () => {
      child.kill('SIGKILL');
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
