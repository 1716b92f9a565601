import { brokerError } from '../model/errors/error_table.js';
import type { Fd } from '../native.js';
import { BROKER_INTERFACE } from '../interfaces/broker_interface.js';
import { Channel as VarlinkChannel, type ChannelErrors } from '../varlink/channel.js';
import { FDS_TRUNCATED, type ConnectionLimits } from '../varlink/connection.js';
import { errorFromReply } from './errors.js';

export type { CallOptions, Reply } from '../varlink/channel.js';

/** Limits for messages from the broker, which is more trusted than a client and may send long replies. */
const LIMITS: ConnectionLimits = {
  messageBytes: 16 << 20,
  maxFdsPerMessage: 253,
  depth: 32,
  queuedBytes: 16 << 20,
  queuedFds: 4096,
};

const ERRORS: ChannelErrors = {
  fromReply: errorFromReply,
  closed: (detail) =>
    detail === FDS_TRUNCATED
      ? brokerError('Unavailable', 'fd-limit', 'the fds of a reply do not fit into this process')
      : brokerError('Unavailable', 'connection-lost', `the connection to the broker ended: ${detail}`),
  unexpected: (detail) =>
    brokerError('Unavailable', 'connection-lost', `the broker sent an unexpected message: ${detail}`),
  timedOut: (method, timeoutMs) =>
    brokerError('Unavailable', 'timed-out', `${method} was not answered within ${timeoutMs} ms`),
};

/** Calls of org.perfbroker.Broker over one connection. Errors that the broker causes are BrokerErrors or VarlinkErrors. */
export class Channel extends VarlinkChannel {
  /** @param socket connected; the channel owns it from now on */
  constructor(socket: Fd) {
    super({ socket, definition: BROKER_INTERFACE, limits: LIMITS, errors: ERRORS });
  }
}
