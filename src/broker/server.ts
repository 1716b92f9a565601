/** Accepts connections, counts them for each user, and answers calls with the Varlink service. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Rollback } from '../common/rollback.js';
import { BrokerError } from '../model/errors/errors.js';
import { brokerError } from '../model/errors/error_table.js';
import { fdShortage } from '../model/errors/kernel_refused.js';
import { native, OWN_LANE, type Fd, type LaneUser, type PeerIds } from '../native.js';
import { Acceptor } from '../varlink/acceptor.js';
import { BROKER_INTERFACE } from '../interfaces/broker_interface.js';
import type { Connection, ConnectionLimits } from '../varlink/connection.js';
import { Service, type ErrorReply, type MethodHandler } from '../varlink/service.js';
import { ValidationError } from '../varlink/validate.js';
import type { Broker } from './broker.js';
import { ClientConnection } from './processes/client_connection.js';
import { brokerMethods } from './methods/dispatch.js';
import { vetPeer } from './processes/peer.js';
import { MAX_CONNECTIONS, ConnectionQuota } from './fairness/connection_quota.js';
import { RefusedConnections } from './fairness/refused_connections.js';
import type { Waiting } from './fairness/work.js';
import { VERSION } from '../version.js';

/**
 * Fds that one user sent and whose closing hangs. A user with more gets no new connection, and is disconnected before its next message is
 * read. So it occupies this many fds of the broker, and those of one message. The limit is more than two full messages; the fds of an
 * ordinary client are closed within microseconds.
 */
const MAX_UNCLOSED_FDS = 512;
/** Fds of a message over the rate. More of them end the connection: receiving fds costs more than a new connection, which takes a token. */
const MAX_REFUSED_FDS = 8;
/** Limits of one connection, before its user's quotas count. */
const CONNECTION_LIMITS: ConnectionLimits = {
  messageBytes: 256 * 1024,
  maxFdsPerMessage: 253,
  depth: 16,
  // The longest meaningful request has less than 14,000: 8,192 cpus (the kernel's largest NR_CPUS), 256 targets of up
  // to 7 values, and 16 events of some 200, which is every field and every name in each list.
  values: 16 * 1024,
  queuedBytes: 4 * 1024 * 1024,
  queuedFds: 8192,
  deliverBelowBytes: 64 * 1024,
  unclosedFds: MAX_UNCLOSED_FDS,
};
/** Connections of the D-Bus front end: one for each pending authorization request (64 at most) and for each call under way. */
const MAX_FRONT_END_CONNECTIONS = 256;
/** Between two checks while the broker ends. */
const POLL_INTERVAL_MS = 10;
/** Grace period for new clients: this broker has accepted them, so the next one will never see them. */
const NEWCOMER_MS = 2000;
/** Time since the last call of a new client after which it is taken to have made all its calls. */
const QUIET_MS = 250;
/** Time of a stop, and of the requests that are under way when it begins. The monitor kills the broker after five seconds. */
const STOP_MS = 4500;
const REQUESTS_MS = 3500;
/** Time for clients to read their answers, and to map the rings of their last grant. */
const HANDOVER_MS = 1000;
/** A client reports that it has mapped its rings. */
const MAPPED = `${BROKER_INTERFACE.name}.Mapped`;

type Handler = MethodHandler<ClientConnection>;

/** True when systemd also holds the listener, and starts the broker again for the next client. */
export const SOCKET_ACTIVATED: boolean = process.env['LISTEN_FDS'] !== undefined;

export class Server {
  readonly #broker: Broker;
  readonly #acceptor: Acceptor;
  readonly #service: Service<ClientConnection>;
  readonly #connections = new Map<ClientConnection, Connection>();
  readonly #connectionQuota: ConnectionQuota = new ConnectionQuota();
  readonly #refused = new RefusedConnections();
  #lastActivityMs = performance.now();

  constructor(broker: Broker, listener: Fd) {
    this.#broker = broker;
    this.#service = new Service<ClientConnection>({
      vendor: 'perfbroker',
      product: 'perfbroker',
      version: VERSION,
      url: 'https://varlink.org',
      interfaces: [{ definition: BROKER_INTERFACE, handlers: handlersOf(broker) }],
      internalError: (error, method) => this.#errorReply(error, method),
    });
    this.#acceptor = new Acceptor({
      listener,
      onSocket: (socket) => this.#onConnection(socket),
      onError: ({ message }) => broker.dependencies.log.error(`accept: ${message}`),
    });
  }

  /** Time of the last connect or disconnect; monotonic clock, milliseconds. */
  get lastActivityMs(): number {
    return this.#lastActivityMs;
  }

  /** True while a client is connected, has a ticket to redeem, or has left fds in flight that count for its user. */
  get occupied(): boolean {
    return this.#broker.tickets.size > 0 || this.#refused.size > 0 || this.#connectionQuota.inUse;
  }

  /** Accepts no new connection. Clients in the backlog stay there if systemd also holds the listener. */
  stopAccepting(): void {
    this.#acceptor.close(); // a client of a listener of our own is refused at once, not left waiting
  }

  /**
   * Refuses connections while the process ends. An operation that hangs in a lane keeps its fds open until it returns, and an open listener
   * would take connections that no broker accepts.
   */
  refuseConnections(): void {
    if (!SOCKET_ACTIVATED) this.#acceptor.refuse();
  }

  /**
   * Serves new clients for a moment, then refuses new calls and gives running ones some time to end. Gives clients a moment to read their
   * answers, and closes every connection. Takes 4.5 seconds at most.
   */
  async stop(): Promise<void> {
    const begin = performance.now();
    const leftOf = (ms: number): number => begin + ms - performance.now();
    this.#broker.enter('draining');
    // No other process would take this backlog. The number is limited, as clients may go on connecting.
    if (!SOCKET_ACTIVATED) this.#acceptor.accept(MAX_CONNECTIONS);
    this.stopAccepting();
    const newcomers = [...this.#connections.keys()].filter(({ ageMs }) => ageMs < NEWCOMER_MS);
    const isServed = ({ closed, quietMs }: ClientConnection): boolean =>
      closed || (quietMs !== null && quietMs >= QUIET_MS);
    await pollUntil(NEWCOMER_MS, () => this.#refused.size === 0 && newcomers.every(isServed));
    this.#broker.enter('stopping');
    this.#broker.dependencies.authorizer.close(); // a user may take minutes to answer
    await pollUntil(leftOf(REQUESTS_MS), () => this.#broker.running === 0);
    this.#broker.abandonRequests();
    await new Promise((resolve) => setImmediate(resolve)); // by then a request that failed has been answered
    const { grants } = this.#broker;
    await pollUntil(Math.min(HANDOVER_MS, leftOf(STOP_MS)), () => !this.#sending && !grants.awaitMapping);
    // Before the connections close, so that watching clients receive the ends. The front end would look for grants that have not ended.
    grants.endAll('shutdown');
    await pollUntil(Math.min(HANDOVER_MS, leftOf(STOP_MS)), () => !this.#sending);
    for (const connection of [...this.#connections.values()]) connection.close();
  }

  get #sending(): boolean {
    return [...this.#connections.values()].some(({ sending }) => sending);
  }

  /**
   * Takes the credentials from the kernel, a token and a permit. Nothing more is done before the first message: connections come faster than
   * they can be vetted, and a client may disconnect before it sends anything.
   */
  #onConnection(socket: Fd): void {
    let ids: PeerIds;
    try {
      ids = native.peerIds(socket);
    } catch (error) {
      this.#broker.dependencies.log.error(`accept: ${(error as Error).message}`);
      return native.closeConnection(OWN_LANE, socket);
    }
    const admitted = this.#broker.admitConnection(ids);
    this.#broker.beginWork(NOT_WAITING, ids, admitted ? 1 : 0).timed(() => {
      // No answer: it would cost more than the connection. Closing takes time when the socket holds data that the client has sent.
      if (admitted) this.#admit(socket, ids);
      else native.closeConnection(this.#laneOf(ids), socket);
    });
  }

  #admit(socket: Fd, ids: PeerIds): void {
    const lane = this.#laneOf(ids);
    this.#lastActivityMs = performance.now();
    let client: ClientConnection;
    try {
      client = this.#register(socket, ids, lane);
    } catch (error) {
      // The client gets one answer, to the call that it is about to make.
      const refusal = this.#errorReply(error, 'connect');
      this.#broker.dependencies.requestLog?.refused(ids, refusal, 'connect');
      return this.#refused.refuse(socket, ids.uid, lane, refusal);
    }
    using admission = new Rollback(() => {
      client.permit.release();
      native.closeConnection(lane, socket);
    });
    this.#serve(client, lane);
    admission.keep();
  }

  /** The lane of a client that was not vetted yet: vetting shows whether it is in another user namespace; until then its uid stands for it. */
  #laneOf({ uid }: PeerIds): LaneUser {
    return this.#broker.dependencies.subordinateUids.userOf({ uid, sameUserNamespace: true });
  }

  #serve(client: ClientConnection, lane: LaneUser): void {
    const { socket, ids, permit } = client;
    const connection = this.#service.serve({
      socket,
      limits: CONNECTION_LIMITS,
      lane,
      inFlight: permit.inFlight,
      context: client,
      admitMessage: (bytes, fds) => {
        client.noteCall();
        return this.#admitMessage(client, bytes, fds);
      },
      admit: (method) => {
        const refusal = this.#broker.admitCall(method === MAPPED);
        return refusal === null ? null : errorReply(refusal);
      },
      onRefusal: (refusal, method) => this.#broker.dependencies.requestLog?.refused(ids, refusal, method),
      onClose: ({ kind, detail }) => {
        if (kind !== 'eof' && kind !== 'closed' && this.#broker.mayLog(ids))
          this.#broker.dependencies.log.info(`connection of uid ${ids.uid} pid ${ids.pid} closed: ${kind}: ${detail}`);
        this.#unregister(client);
      },
    });
    client.serveBy(connection);
    this.#connections.set(client, connection);
  }

  #admitMessage(client: ClientConnection, bytes: number, fds: number): ErrorReply | null {
    const refusal = this.#broker.admitMessage(client.ids, bytes, fds);
    if (refusal !== null) {
      if (fds > MAX_REFUSED_FDS) setImmediate(() => client.close()); // when the answer has been sent
      return errorReply(refusal);
    }
    if (client.identified) return null;
    try {
      this.#broker.beginWork(client, client.ids, 0).timed(() => this.#identify(client));
      return null;
    } catch (error) {
      setImmediate(() => client.close()); // when the answer has been sent
      return this.#errorReply(error, 'connect');
    }
  }

  #identify(client: ClientConnection): void {
    const peer = vetPeer(client.socket, this.#broker.dependencies.subordinateUids);
    if (this.#broker.dependencies.subordinateUids.mayBeMany(peer.subject)) client.permit.countAsShared();
    client.identify(peer);
  }

  /** Counts the connection against its user's limit. @throws QuotaExceeded */
  #register(socket: Fd, ids: PeerIds, lane: LaneUser): ClientConnection {
    const unclosed = native.foreignFds(lane);
    if (unclosed > MAX_UNCLOSED_FDS)
      throw brokerError(
        'QuotaExceeded',
        'connections',
        `${unclosed} fds that uid ${ids.uid} has sent cannot be closed yet`,
      );
    const limit = this.#broker.isFrontEnd(ids) ? MAX_FRONT_END_CONNECTIONS : this.#broker.policy.service.connections;
    const permit = this.#connectionQuota.acquire(ids.uid, limit);
    using admission = new Rollback(() => permit.release());
    // A client in another user namespace is found when it is vetted.
    if (this.#broker.dependencies.subordinateUids.has(ids.uid)) permit.countAsShared();
    const client = new ClientConnection(socket, ids, permit);
    admission.keep();
    return client;
  }

  #unregister(client: ClientConnection): void {
    client.leave();
    client.permit.release();
    this.#lastActivityMs = performance.now();
    this.#connections.delete(client);
    this.#broker.grants.endOwnedBy(client, 'connection');
  }

  #errorReply(error: unknown, method: string): ErrorReply {
    if (error instanceof BrokerError) return errorReply(error);
    if (error instanceof ValidationError)
      return { name: 'org.varlink.service.InvalidParameter', parameters: { parameter: error.path } };
    const { log } = this.#broker.dependencies;
    const shortage = fdShortage(error);
    if (shortage !== null) {
      log.warn(`${method}: ${shortage.message}`);
      return errorReply(shortage);
    }
    log.error(`${method}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    return errorReply(
      brokerError('Unavailable', 'internal', 'an internal error of the broker; its log has the details'),
    );
  }
}

function handlersOf(broker: Broker): Readonly<Record<string, Handler>> {
  const handlers = brokerMethods(broker);
  const { requestLog } = broker.dependencies;
  if (requestLog === null) return handlers;
  const logged = ([name, handler]: readonly [string, Handler]): readonly [string, Handler] => [
    name,
    (call, reply) => requestLog.run(name, call.context.subject, () => handler(call, reply)),
  ];
  return Object.fromEntries(Object.entries(handlers).map(logged));
}

function errorReply(error: BrokerError): ErrorReply {
  const { code, message, errno, explanation: cause, remedy, details } = error;
  return {
    name: `${BROKER_INTERFACE.name}.${error.error}`,
    parameters: { code, message, errno, cause, remedy, ...details },
  };
}

/** Resolves when `done` returns true, or after `ms`. */
async function pollUntil(ms: number, done: () => boolean): Promise<void> {
  const end = performance.now() + ms;
  while (!done() && performance.now() < end) await sleep(POLL_INTERVAL_MS);
}

/** For work that is done at once: no client waits for a turn. */
const NOT_WAITING: Waiting = { closed: false, watchHangup: () => undefined };
