/** Accepts connections, counts them per user, and answers them with the Varlink service. */
import { setTimeout as sleep } from 'node:timers/promises';
import { BrokerError } from '../model/errors.js';
import { brokerError } from '../model/error_table.js';
import { native, OWN_LANE, type Fd, type LaneUser } from '../native.js';
import { Acceptor } from '../varlink/acceptor.js';
import { BROKER_INTERFACE } from '../varlink/broker_interface.js';
import type { Connection, ConnectionLimits } from '../varlink/connection.js';
import { FdsInFlight } from '../varlink/fds_in_flight.js';
import { Service, type ErrorReply } from '../varlink/service.js';
import { ValidationError } from '../varlink/validate.js';
import type { Broker } from './broker.js';
import { ClientConnection } from './client_connection.js';
import { brokerMethods } from './methods.js';
import { vetPeer } from './peer.js';
import { VERSION } from '../version.js';

/**
 * Fds that one user sent and whose closing hangs. A user with more gets no new connection, and is disconnected when it sends more: so it
 * occupies this many fds of the broker, and those of one message for each connection that it had. More than two full messages:
 * a client sends pidfds, which do not count, and directories of cgroups, whose closing takes microseconds.
 */
const MAX_UNCLOSED_FDS = 512;
/** What one connection may cost before its user's quotas count. */
const CONNECTION_LIMITS: ConnectionLimits = {
  messageBytes: 256 * 1024,
  maxFdsPerMessage: 253,
  depth: 16,
  // The longest request that is no mistake has less than 14,000: 8,192 cpus (the kernel's largest NR_CPUS), 256 targets of up
  // to 7 values, and 16 events of some 200, which is every field and every name in each list.
  values: 16 * 1024,
  queuedBytes: 4 * 1024 * 1024,
  queuedFds: 8192,
  deliverBelowBytes: 64 * 1024,
  unclosedFds: MAX_UNCLOSED_FDS,
};
/** Connections of all users together; perfbrokerd's fd limit leaves room for them. */
export const MAX_CONNECTIONS = 2048;
/** Of the D-Bus front end, which uses one for each question that is open (64 at most) and for each call under way. */
const MAX_FRONT_END_CONNECTIONS = 256;
/** Of all clients for whom a limit for each uid is none ({@link SubordinateUids}). */
const MAX_SHARED_CONNECTIONS = 256;
/** Fds that one user's connections may have been sent and not have read; the kernel counts all users' against us. */
const MAX_FDS_IN_FLIGHT = 1024;
/** Between two looks at whether what the end waits for has come. */
const LOOK_MS = 10;
/** For who has just come: taken from the backlog, he can not be left to the next broker any more. */
const NEWCOMER_MS = 2000;
/** Since a newcomer's last call: programs make several. */
const QUIET_MS = 250;
/** For clients that read what they are owed, and map the rings of what they were just given. */
const HANDOVER_MS = 1000;
/** Says that the rings are mapped. */
const MAPPED = `${BROKER_INTERFACE.name}.Mapped`;

/** Whether somebody else holds the listener, too, and starts the broker again for whoever comes next. */
export const SOCKET_ACTIVATED: boolean = process.env['LISTEN_FDS'] !== undefined;

/** What one user's connections have in common. */
interface UserShare {
  open: number;
  readonly inFlight: FdsInFlight;
}

function isOccupied({ open, inFlight }: UserShare): boolean {
  return open > 0 || inFlight.lingering > 0;
}

export class Server {
  readonly #broker: Broker;
  readonly #acceptor: Acceptor;
  readonly #service: Service<ClientConnection>;
  readonly #connections = new Map<ClientConnection, Connection>();
  readonly #users = new Map<number, UserShare>();
  #lastActivityMs = performance.now();
  /** Those that share {@link MAX_SHARED_CONNECTIONS}. */
  readonly #sharing = new Set<ClientConnection>();

  constructor(broker: Broker, listener: Fd) {
    this.#broker = broker;
    this.#service = new Service<ClientConnection>({
      vendor: 'perfbroker',
      product: 'perfbroker',
      version: VERSION,
      url: 'https://varlink.org',
      interfaces: [{ definition: BROKER_INTERFACE, handlers: brokerMethods(broker) }],
      internalError: (error, method) => this.#errorReply(error, method),
    });
    this.#acceptor = new Acceptor({
      listener,
      onSocket: (socket) => this.#greet(socket),
      onError: ({ message }) => broker.parts.log.error(`accept: ${message}`),
    });
  }

  /** When a connection last came or went; monotonic clock, milliseconds. */
  get lastActivityMs(): number {
    return this.#lastActivityMs;
  }

  /** Whether anybody is connected, has a ticket to redeem, or has left fds in flight that count for his user. */
  get occupied(): boolean {
    return (
      this.#connections.size > 0 ||
      this.#broker.tickets.size > 0 ||
      refused > 0 ||
      [...this.#users.values()].some(isOccupied)
    );
  }

  /** Accepts nothing more. Whoever is in the backlog of a listener that somebody else holds, too, stays there. */
  stopAccepting(): void {
    this.#acceptor.close(); // whoever connects to one of our own is refused at once, not left waiting
  }

  /**
   * Hears who has just come, then refuses what is new and lets running calls end; gives clients a moment to take what was
   * answered, and closes every connection. Four seconds at most, and what running calls take.
   */
  async stop(): Promise<void> {
    this.#broker.draining = true;
    // A backlog that nobody else would take; not for ever, as others may go on connecting.
    if (!SOCKET_ACTIVATED) this.#acceptor.take(MAX_CONNECTIONS);
    this.stopAccepting();
    const newcomers = [...this.#connections.keys()].filter(({ ageMs }) => ageMs < NEWCOMER_MS);
    const heard = ({ closed, quietMs }: ClientConnection): boolean =>
      closed || (quietMs !== null && quietMs >= QUIET_MS);
    await within(NEWCOMER_MS, () => refused === 0 && newcomers.every(heard));
    this.#broker.stopping = true;
    this.#broker.parts.authorizer.close(); // a human may take minutes
    await this.#broker.idle();
    await new Promise((resolve) => setImmediate(resolve)); // a request that failed has been answered by then
    const { grants } = this.#broker;
    await within(HANDOVER_MS, () => !this.#sending && !grants.awaitMapping);
    // First, while those who watch are there to be told: the front end would look for what it has not heard the end of.
    grants.endAll('shutdown');
    await within(HANDOVER_MS, () => !this.#sending);
    for (const connection of [...this.#connections.values()]) connection.close();
  }

  get #sending(): boolean {
    return [...this.#connections.values()].some(({ sending }) => sending);
  }

  #greet(socket: Fd): void {
    this.#lastActivityMs = performance.now();
    let client: ClientConnection;
    let share: UserShare;
    let lane = OWN_LANE;
    try {
      client = new ClientConnection(socket, vetPeer(socket));
      lane = this.#broker.parts.subordinateUids.userOf(client.subject);
      share = this.#enter(client, lane);
    } catch (error) {
      // Whoever it is gets an answer to the call that it is about to make, and no more.
      refuse(socket, lane, this.#errorReply(error, 'connect'));
      return;
    }
    const connection = this.#service.serve({
      socket,
      limits: CONNECTION_LIMITS,
      lane,
      inFlight: share.inFlight,
      context: client,
      admitMessage: (bytes) => {
        client.noteCall();
        const refusal = this.#broker.admitMessage(client.subject, bytes);
        return refusal === null ? null : errorReply(refusal);
      },
      admit: (method) => {
        const refusal = this.#broker.admitCall(method === MAPPED);
        return refusal === null ? null : errorReply(refusal);
      },
      onClose: ({ kind, detail }) => {
        if (kind !== 'eof' && kind !== 'closed' && this.#broker.mayLog(client.subject))
          this.#broker.parts.log.info(
            `connection of uid ${client.subject.uid} pid ${client.subject.pid} closed: ${kind}: ${detail}`,
          );
        this.#leave(client, share);
      },
    });
    client.serveBy(connection);
    this.#connections.set(client, connection);
  }

  /** Takes a place among the user's connections. */
  #enter(client: ClientConnection, lane: LaneUser): UserShare {
    const { uid } = client.subject;
    const unclosed = native.foreignFds(lane);
    if (unclosed > MAX_UNCLOSED_FDS)
      throw brokerError(
        'QuotaExceeded',
        'connections',
        `${unclosed} fds that uid ${uid} has sent cannot be closed yet`,
      );
    const share = this.#users.get(uid) ?? { open: 0, inFlight: new FdsInFlight(MAX_FDS_IN_FLIGHT) };
    const open = share.open + share.inFlight.lingering;
    const limit = this.#broker.isFrontEnd({ uid })
      ? MAX_FRONT_END_CONNECTIONS
      : this.#broker.policy.service.connections;
    if (open >= limit || this.#connections.size >= MAX_CONNECTIONS)
      throw brokerError(
        'QuotaExceeded',
        'connections',
        `uid ${uid} has ${open} of ${limit} connections, all users ${this.#connections.size} of ${MAX_CONNECTIONS}`,
      );
    if (this.#broker.parts.subordinateUids.mayBeMany(client.subject)) {
      if (this.#sharing.size >= MAX_SHARED_CONNECTIONS)
        throw brokerError(
          'QuotaExceeded',
          'connections',
          `clients in user namespaces of their own, or under uids of /etc/subuid, have ${this.#sharing.size} of ${MAX_SHARED_CONNECTIONS} connections`,
        );
      this.#sharing.add(client);
    }
    share.open += 1;
    this.#users.set(uid, share);
    return share;
  }

  #leave(client: ClientConnection, share: UserShare): void {
    client.leave();
    this.#lastActivityMs = performance.now();
    this.#connections.delete(client);
    this.#sharing.delete(client);
    share.open -= 1;
    if (share.open === 0 && share.inFlight.lingering === 0) this.#users.delete(client.subject.uid);
    this.#broker.grants.endOwnedBy(client, 'connection');
  }

  #errorReply(error: unknown, method: string): ErrorReply {
    if (error instanceof BrokerError) return errorReply(error);
    if (error instanceof ValidationError)
      return { name: 'org.varlink.service.InvalidParameter', parameters: { parameter: error.path } };
    this.#broker.parts.log.error(
      `${method}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
    );
    return errorReply(brokerError('Unavailable', 'internal', 'a fault in the broker; its log has the details'));
  }
}

function errorReply(error: BrokerError): ErrorReply {
  const { code, message, errno, cause_: cause, remedy, details } = error;
  return {
    name: `${BROKER_INTERFACE.name}.${error.error}`,
    parameters: { code, message, errno, cause, remedy, ...details },
  };
}

/** Waits until it is so, or for so long. */
async function within(ms: number, done: () => boolean): Promise<void> {
  const end = performance.now() + ms;
  while (!done() && performance.now() < end) await sleep(LOOK_MS);
}

/** Refused connections that are kept for a moment, so that the caller can send its call and read the answer. */
const MAX_REFUSED = 64;
const REFUSED_MS = 1000;
let refused = 0;

function refuse(socket: Fd, lane: LaneUser, { name, parameters }: ErrorReply): void {
  try {
    native.sendMessage(socket, Buffer.from(`${JSON.stringify({ error: name, parameters })}\0`), []);
    native.endWriting(socket);
  } catch {
    // Gone already.
  }
  if (refused >= MAX_REFUSED) return native.closeConnection(lane, socket);
  refused += 1;
  setTimeout(() => {
    refused -= 1;
    native.closeConnection(lane, socket);
  }, REFUSED_MS);
}
