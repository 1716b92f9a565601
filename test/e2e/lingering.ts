import { spawn, type ChildProcess } from 'node:child_process';
import { ALICE } from './as_user.js';

/** Path of Debian's python3: the tests need no other package of it. */
export const PYTHON = '/usr/bin/python3';

/**
 * Beginning of a program in Python: `lingering()` returns the two ends of a TCP connection, the first with
 * unsent data and a long linger, so that its last close(2) waits for the other, which does not read.
 */
const LINGERING = `
import socket, struct, sys, time
listener = socket.socket(); listener.bind(('127.0.0.1', 0)); listener.listen(9)
def lingering():
    sender = socket.create_connection(listener.getsockname()); receiver, _ = listener.accept()
    sender.setblocking(False)
    try:
        while True: sender.send(bytes(65536))
    except BlockingIOError: pass
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 60))
    return sender, receiver
`;

/** Runs such a program as {@link ALICE}, with the broker's socket as its argument, until it has printed `sent`. */
export async function startLingering(script: string, socket: string): Promise<ChildProcess> {
  const child = spawn(PYTHON, ['-c', `${LINGERING}${script}`, socket], {
    uid: ALICE,
    gid: ALICE,
    cwd: '/',
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', (data: Buffer) =>
      data.toString().startsWith('sent') ? resolve() : reject(new Error(`it printed ${data.toString()}`)),
    );
    child.once('close', (code) => reject(new Error(`it ended with ${code}`)));
  });
  return child;
}
