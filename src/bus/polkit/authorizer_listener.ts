import { chmodSync, lstatSync, unlinkSync } from 'node:fs';
import { native, type Fd, type NativeError } from '../../native.js';

/** Uid of the broker on machines without its user. */
const FALLBACK_BROKER_UID = 60910;
/** First passed fd, see sd_listen_fds(3). */
const LISTEN_FDS_START = 3;
const BACKLOG = 64;

/** @param user name of the broker's user */
export function brokerUid(user = 'perfbroker'): number {
  try {
    return native.userId(user) ?? FALLBACK_BROKER_UID;
  } catch {
    // The source of names does not answer. No other user has the fallback uid.
    return FALLBACK_BROKER_UID;
  }
}

/**
 * Returns the listening socket that the service manager passed (sd_listen_fds(3)), or null. Removes the variables from `env`, so that
 * children do not use them.
 * @throws Error when the fd is not a listening AF_UNIX stream socket, or there are several
 */
export function passedListener(env: NodeJS.ProcessEnv = process.env): Fd | null {
  const { LISTEN_PID: pid, LISTEN_FDS: count } = env;
  delete env['LISTEN_PID'];
  delete env['LISTEN_FDS'];
  delete env['LISTEN_FDNAMES'];
  if (count === undefined || pid !== String(process.pid)) return null;
  if (count !== '1') throw new Error(`LISTEN_FDS is ${count}: expected one socket, authorizer.sock`);
  try {
    native.adoptListener(LISTEN_FDS_START);
  } catch (error) {
    throw new Error(`fd 3 of LISTEN_FDS is not a listening unix stream socket: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return LISTEN_FDS_START;
}

/**
 * Binds `path`. Any user may connect; the credentials of a connection decide whether it is served.
 * @throws NativeError; EADDRINUSE when another process listens there
 */
export function bindListener(path: string): Fd {
  removeStale(path);
  const listener = native.listenUnix(path, BACKLOG);
  chmodSync(path, 0o666);
  return listener;
}

/** Removes a socket file without a listener, which would make bind(2) fail. connect(2) refuses other files with the same error. */
function removeStale(path: string): void {
  try {
    native.close(native.connectUnix(path));
  } catch (error) {
    if ((error as NativeError).code === 'ECONNREFUSED' && lstatSync(path).isSocket()) unlinkSync(path);
  }
}
