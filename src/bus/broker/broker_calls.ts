import { Channel } from '../../client/channel.js';
import { connectError } from '../../client/errors.js';
import { native, type Fd } from '../../native.js';
import { exceededLimit } from '../../varlink/json.js';
import type { Caller } from '../callers/callers.js';
import { CallError } from '../dbus_error.js';

/** Nobody knows how long a human thinks; the broker's own deadline ends a question. */
const INTERACTIVE_MS = 0;
const TIMEOUT_MS = 60_000;
/** Bytes of JSON, of the 256 KiB that the broker takes in a message: control characters of a call become six times as many. */
const MAX_PARAMETERS = 192 * 1024;
/** Of the 16,384 that the broker takes in a message: method and sender are some of them. */
const MAX_VALUES = 16_000;

/**
 * Calls of the broker, each over a connection of its own: a caller whose question waits for a human can go on calling, a
 * caller that vanishes takes back just what it asked, and no connection outlives a broker that was restarted meanwhile.
 */
export class BrokerCalls {
  readonly #socket: string;

  /** @param socket path of the broker's socket */
  constructor(socket: string) {
    this.#socket = socket;
  }

  /** A call of the front end's own. @throws BrokerError, VarlinkError */
  own(method: string, parameters: object): Promise<Readonly<Record<string, unknown>>> {
    return this.#call(method, parameters, [], TIMEOUT_MS);
  }

  /** A call for somebody on the bus, whom the broker judges instead of us. @throws BrokerError, VarlinkError, CallError */
  async onBehalf(
    { uid, pidfd, name, gone }: Caller,
    method: string,
    parameters: Readonly<Record<string, unknown>>,
  ): Promise<Readonly<Record<string, unknown>>> {
    if (gone.aborted) throw new CallError('Failed', 'the caller has left the bus');
    const timeoutMs = parameters['allowInteractive'] === true ? INTERACTIVE_MS : TIMEOUT_MS;
    const sender = { uid, pidfd: 0, busName: name };
    const json = Buffer.from(JSON.stringify(parameters));
    if (json.length > MAX_PARAMETERS)
      throw new CallError('LimitsExceeded', `the arguments are more than ${MAX_PARAMETERS} bytes for the broker`);
    if (exceededLimit(json, { depth: Infinity, values: MAX_VALUES }) !== null)
      throw new CallError('LimitsExceeded', `the arguments are more than ${MAX_VALUES} values for the broker`);
    return await this.#call(method, { ...parameters, sender }, [native.duplicate(pidfd)], timeoutMs, gone);
  }

  async #call(
    method: string,
    parameters: object,
    fds: readonly Fd[],
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<Readonly<Record<string, unknown>>> {
    const channel = this.#connect(fds);
    const close = (): void => channel.close();
    signal?.addEventListener('abort', close);
    try {
      const [reply] = await channel.call(method, parameters, { fds, timeoutMs });
      return reply?.parameters ?? {};
    } finally {
      signal?.removeEventListener('abort', close);
      channel.close();
    }
  }

  /** Consumes the fds when it fails. */
  #connect(fds: readonly Fd[]): Channel {
    try {
      return new Channel(native.connectUnix(this.#socket));
    } catch (error) {
      for (const fd of fds) native.close(fd);
      throw connectError(error, this.#socket);
    }
  }
}
