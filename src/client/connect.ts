import { native } from '../native.js';
import { Channel } from './channel.js';
import { Client } from './client.js';
import { connectError } from './errors.js';

export const DEFAULT_SOCKET = '/run/perfbroker/broker.sock';
const DEFAULT_TIMEOUT_MS = 30_000;

export interface ConnectOptions {
  /** Path of the broker's socket. Default: $PERFBROKER_SOCKET, else /run/perfbroker/broker.sock. */
  readonly socket?: string;
  /** Milliseconds until an unanswered call fails and the connection is closed; 0: never. Default: 30,000. */
  readonly timeoutMs?: number;
}

/**
 * Connects to the broker. An idle client does not keep the process alive.
 * @throws BrokerError Unavailable: `not-running`, `no-access`, `invalid-socket`; other errnos as they are
 */
export function connect(options: ConnectOptions = {}): Promise<Client> {
  const { timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  const socket = socketPath(options.socket);
  try {
    return Promise.resolve(new Client(new Channel(native.connectUnix(socket)), timeoutMs));
  } catch (error) {
    return Promise.reject(connectError(error, socket));
  }
}

/** Returns the path of the broker's socket. @param option path given by the caller */
export function socketPath(option: string | undefined): string {
  return option ?? fromEnvironment() ?? DEFAULT_SOCKET;
}

function fromEnvironment(): string | undefined {
  const path = process.env['PERFBROKER_SOCKET'];
  return path === '' ? undefined : path;
}
