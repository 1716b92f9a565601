import { chmodSync, unlinkSync } from 'node:fs';
import posix from 'posix';
import { native, type Fd, type NativeError } from '../../native.js';

/** The broker's uid where there is no user of its own. */
const FALLBACK_BROKER_UID = 60910;
/** sd_listen_fds(3): the first fd that is passed. */
const LISTEN_FDS_START = 3;
const BACKLOG = 64;

/** @param user name of the broker's user */
export function brokerUid(user = 'perfbroker'): number {
  try {
    return posix.getpwnam(user).uid;
  } catch {
    // posix does not tell an unknown name from a directory that does not answer; nobody else has the fallback uid.
    return FALLBACK_BROKER_UID;
  }
}

/**
 * The listening socket that whoever started us passed (sd_listen_fds(3)), or null when nobody did. Takes the variables out
 * of `env`, so that no child takes them for its own.
 * @throws Error when what was passed is no listening AF_UNIX stream socket, or several
 */
export function passedListener(env: NodeJS.ProcessEnv = process.env): Fd | null {
  const { LISTEN_PID: pid, LISTEN_FDS: count } = env;
  delete env['LISTEN_PID'];
  delete env['LISTEN_FDS'];
  delete env['LISTEN_FDNAMES'];
  if (count === undefined || pid !== String(process.pid)) return null;
  if (count !== '1') throw new Error(`LISTEN_FDS is ${count}: one socket is expected, authorizer.sock`);
  try {
    native.adoptListener(LISTEN_FDS_START);
  } catch (error) {
    throw new Error(`fd 3 of LISTEN_FDS is no listening unix stream socket: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return LISTEN_FDS_START;
}

/**
 * Binds `path` itself. Everybody may connect; who is answered is checked by the credentials of the connection.
 * @throws NativeError; EADDRINUSE when somebody listens there already
 */
export function bindListener(path: string): Fd {
  removeStale(path);
  const listener = native.listenUnix(path, BACKLOG);
  chmodSync(path, 0o666);
  return listener;
}

/** A socket file that nobody listens on any more is in the way of the next bind(2). */
function removeStale(path: string): void {
  try {
    native.close(native.connectUnix(path));
  } catch (error) {
    if ((error as NativeError).code === 'ECONNREFUSED') unlinkSync(path);
  }
}
