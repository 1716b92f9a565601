import { statSync, type Stats } from 'node:fs';
import { brokerError } from '../model/errors/error_table.js';
import { BrokerError, ERROR_NAMES, type ErrorName } from '../model/errors/errors.js';
import type { NativeError } from '../native.js';
import { BROKER_INTERFACE } from '../interfaces/broker_interface.js';

/** An error reply that is unknown to org.perfbroker.Broker: one of org.varlink.service, or of a newer broker. */
export class VarlinkError extends Error {
  override readonly name = 'VarlinkError';
  /** Full name, such as `org.varlink.service.InvalidParameter`. */
  readonly error: string;
  readonly parameters: Readonly<Record<string, unknown>>;

  constructor(error: string, parameters: Readonly<Record<string, unknown>>) {
    super(`${error} ${JSON.stringify(parameters)}`);
    this.error = error;
    this.parameters = parameters;
  }
}

/** Rebuilds the broker's error from its error reply. */
export function errorFromReply(
  error: string,
  parameters: Readonly<Record<string, unknown>>,
): BrokerError | VarlinkError {
  const prefix = `${BROKER_INTERFACE.name}.`;
  const name = error.startsWith(prefix) ? error.slice(prefix.length) : '';
  const { code, message, errno, cause, remedy, ...details } = parameters;
  if (!isErrorName(name) || typeof code !== 'string' || typeof message !== 'string')
    return new VarlinkError(error, parameters);
  return new BrokerError(name, code, message, {
    errno: typeof errno === 'number' ? errno : 0,
    cause: typeof cause === 'string' ? cause : '',
    remedy: typeof remedy === 'string' ? remedy : '',
    details,
  });
}

function isErrorName(name: string): name is ErrorName {
  return (ERROR_NAMES as readonly string[]).includes(name);
}

/** sun_path of sockaddr_un without its NUL (unix(7)). */
const MAX_SOCKET_PATH = 107;

function statusOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

/** Returns an error that explains why connect(2) failed. */
export function connectError(error: unknown, path: string): Error {
  const { code, errno } = error as NativeError;
  const invalid = (message: string): BrokerError => brokerError('Unavailable', 'invalid-socket', message, { errno });
  // connect(2) reports a file of another kind as it reports a socket without a listener or without permission.
  const isOther = (): boolean => statusOf(path)?.isSocket() === false;
  switch (code) {
    case 'ENAMETOOLONG':
      return invalid(`the path of the socket has ${Buffer.byteLength(path)} bytes; the limit is ${MAX_SOCKET_PATH}`);
    case 'ENOTDIR':
    case 'ELOOP':
    case 'EPROTOTYPE':
      return invalid(`${path} is not a stream socket (${code})`);
    case 'ENOENT':
      return brokerError(
        'Unavailable',
        'not-running',
        `there is no socket ${path} (ENOENT): the broker is not running`,
        { errno },
      );
    case 'ECONNREFUSED':
      if (isOther()) return invalid(`${path} is not a socket`);
      return brokerError(
        'Unavailable',
        'not-running',
        `no process listens on ${path} (ECONNREFUSED): the broker is not running`,
        { errno },
      );
    case 'EAGAIN':
      return brokerError('Unavailable', 'timed-out', `${path} accepts no connection: its backlog is full`, { errno });
    case 'EACCES':
    case 'EPERM':
      if (isOther()) return invalid(`${path} is not a socket`);
      return brokerError('Unavailable', 'no-access', `no permission to connect to ${path} (${code})`, { errno });
    default:
      return error as Error;
  }
}
