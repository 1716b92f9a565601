import { brokerError } from '../model/errors/error_table.js';
import type { Fd } from '../native.js';
import { BROKER_INTERFACE } from '../interfaces/broker_interface.js';
import { Channel as VarlinkChannel, type ChannelErrors } from '../varlink/channel.js';
import type { ConnectionLimits } from '../varlink/connection.js';
import { errorFromReply } from './errors.js';

export type { CallOptions, Reply } from '../varlink/channel.js';

/** What the broker may send us: it is more trusted than a client, and its replies can be long. */
const LIMITS: ConnectionLimits = {
  messageBytes: 16 << 20,
  maxFdsPerMessage: 253,
  depth: 32,
  queuedBytes: 16 << 20,
  queuedFds: 4096,
};

const ERRORS: ChannelErrors = {
  fromReply: errorFromReply,
  closed: (detail) => brokerError('Unavailable', 'connection-lost', `the connection to the broker ended: ${detail}`),
  unexpected: (detail) =>
    brokerError('Unavailable', 'connection-lost', `the broker sent something unexpected: ${detail}`),
  timedOut: (method, timeoutMs) =>
    brokerError('Unavailable', 'timed-out', `${method} was not answered within ${timeoutMs} ms`),
};

/** Calls of org.perfbroker.Broker over one connection; every failure is a BrokerError or a VarlinkError. */
export class Channel extends VarlinkChannel {
  /** @param socket connected; owned by the channel from now on */
  constructor(socket: Fd) {
    super({ socket, definition: BROKER_INTERFACE, limits: LIMITS, errors: ERRORS });
  }
}
