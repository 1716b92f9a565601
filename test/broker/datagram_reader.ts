/** A datagram socket of the test's own, read by a child: node has none for AF_UNIX. A sealed file is read as journald reads it. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PROGRAM = `
import fcntl, os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('ready', flush=True)
SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
while True:
    data, fds, _, _ = socket.recv_fds(s, 1 << 20, 1)
    for fd in fds:
        # As journald (systemd 252): no byte beside the file, and these four seals, which keep its sender from changing it.
        if data or fcntl.fcntl(fd, fcntl.F_GET_SEALS) != SEALS: data = b'refused'
        else: data = os.pread(fd, os.fstat(fd).st_size, 0)
        os.close(fd)
    print(data.hex(), flush=True)
`;

export interface DatagramReader {
  readonly path: string;
  /** Texts of all that has come. */
  readonly received: string[];
  /** The same as bytes. */
  readonly bytes: Buffer[];
  /** Resolves when `count` datagrams have come. */
  until(count: number): Promise<void>;
  /** Resolves when one has come that `matches`. */
  seen(matches: (text: string) => boolean): Promise<string>;
  /** Stops reading, so that the queue fills, and resolves when it has stopped; and goes on. */
  stop(): Promise<void>;
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
    stop: async () => {
      child.kill('SIGSTOP');
      const isStopped = (): boolean => readFileSync(`/proc/${child.pid}/stat`, 'latin1').includes(' T ');
      while (!isStopped()) await new Promise((resolve) => setTimeout(resolve, 5));
    },
    continue: () => void child.kill('SIGCONT'),
    end: () => {
      child.kill('SIGKILL');
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
