import { Channel } from '../../client/channel.js';
import { connectError } from '../../client/errors.js';
import { native, type Fd } from '../../native.js';
import { exceededLimit } from '../../varlink/json.js';
import type { Caller } from '../callers/callers.js';
import { CallError } from '../dbus_error.js';

/** No limit: an authorization prompt may take minutes, and the broker has its own deadline. */
const INTERACTIVE_MS = 0;
const TIMEOUT_MS = 60_000;
/** Maximum bytes of JSON. The broker accepts 256 KiB; JSON encodes a control character in six bytes. */
const MAX_PARAMETERS = 192 * 1024;
/** Maximum values in the parameters. The broker accepts 16,384 in a message, including method and sender. */
const MAX_VALUES = 16_000;

/**
 * Calls of the broker, each over a separate connection. A caller can make other calls while one waits for authorization; a caller that
 * disconnects withdraws only its own calls; and no connection outlives a restart of the broker.
 */
export class BrokerCalls {
  readonly #socket: string;

  /** @param socket path of the broker's socket */
  constructor(socket: string) {
    this.#socket = socket;
  }

  /** Calls the broker for the front end itself. @throws BrokerError, VarlinkError */
  own(method: string, parameters: object): Promise<Readonly<Record<string, unknown>>> {
    return this.#call(method, parameters, [], TIMEOUT_MS);
  }

  /** Calls the broker for a caller on the bus, to whom the policy is applied. @throws BrokerError, VarlinkError, CallError */
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
      throw new CallError('LimitsExceeded', `the arguments have more than ${MAX_PARAMETERS} bytes as JSON`);
    if (exceededLimit(json, { depth: Infinity, values: MAX_VALUES }) !== null)
      throw new CallError('LimitsExceeded', `the arguments have more than ${MAX_VALUES} values`);
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

  /** Connects to the broker. Closes the fds on failure. */
  #connect(fds: readonly Fd[]): Channel {
    try {
      return new Channel(native.connectUnix(this.#socket));
    } catch (error) {
      for (const fd of fds) native.close(fd);
      throw connectError(error, this.#socket);
    }
  }
}
