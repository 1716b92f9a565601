import { brokerError } from '../model/errors/error_table.js';
import { native } from '../native.js';
import type { WatchGrantsReply } from '../interfaces/broker_types.js';
import { Channel } from './channel.js';
import { connectError } from './errors.js';
import { socketPath, type ConnectOptions } from './connect.js';

export interface WatchOptions extends Pick<ConnectOptions, 'socket'> {
  /** Watches the grants of all users; administrators only. Default: false. */
  readonly all?: boolean;
  /** Ends the watch without an error. */
  readonly signal?: AbortSignal;
}

/** Limit of changes that wait to be read. More of them end the watch. */
const MAX_WAITING = 10_000;

/**
 * Yields the existing grants (`change: 'present'`; one change without `grant` when none exists), then each grant that begins or ends,
 * until the caller leaves the loop. Uses a separate connection.
 * @throws BrokerError, VarlinkError
 */
export async function* watchGrants(options: WatchOptions = {}): AsyncGenerator<WatchGrantsReply, void, undefined> {
  const { all = false, signal } = options;
  const path = socketPath(options.socket);
  const waiting: WatchGrantsReply[] = [];
  let wake: () => void = () => undefined;
  const state: { over: boolean; error: unknown } = { over: signal?.aborted === true, error: null };
  const end = (error: unknown): void => {
    if (!state.over) Object.assign(state, { over: true, error });
    wake();
  };
  const channel = connectTo(path);
  const abort = (): void => end(null);
  signal?.addEventListener('abort', abort, { once: true });
  channel
    .call('WatchGrants', all ? { all } : {}, {
      more: true,
      timeoutMs: 0,
      onReply: ({ parameters }) => {
        waiting.push(parameters as unknown as WatchGrantsReply);
        if (waiting.length > MAX_WAITING) {
          end(brokerError('Unavailable', 'connection-lost', `${MAX_WAITING} changes of grants were not read`));
          channel.close();
        }
        wake();
      },
    })
    .then(() => end(null), end);
  try {
    for (;;) {
      // Changes that arrived before an error are reported before it.
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        yield next;
        if (signal?.aborted === true) return;
      }
      if (state.over) break;
      await new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    signal?.removeEventListener('abort', abort);
    channel.close();
  }
  if (state.error !== null) throw state.error as Error;
}

function connectTo(path: string): Channel {
  try {
    return new Channel(native.connectUnix(path));
  } catch (error) {
    throw connectError(error, path);
  }
}
