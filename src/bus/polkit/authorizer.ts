/** Serves org.perfbroker.Authorizer: forwards the broker's authorization requests to polkit. */
import { dialogText } from '../../common/dialog_text.js';
import { native, OWN_LANE, type Fd } from '../../native.js';
import { Acceptor } from '../../varlink/acceptor.js';
import { AUTHORIZER_INTERFACE } from '../../interfaces/authorizer_interface.js';
import type { CheckParameters } from '../../interfaces/authorizer_types.js';
import type { CloseReason, Connection, ConnectionLimits } from '../../varlink/connection.js';
import { Service, type Call, type ErrorReply, type Replier } from '../../varlink/service.js';
import { ValidationError } from '../../varlink/validate.js';
import { VERSION } from '../../version.js';
import { RequestError, RequestWithdrawn, type PolkitAuthority } from './polkit.js';

export interface AuthorizerLog {
  warn(message: string): unknown;
  info(message: string): unknown;
  error(message: string): unknown;
}

export interface AuthorizerOptions {
  /** Listening and non-blocking; the authorizer owns it from now on. See `passedListener` and `bindListener`. */
  readonly listener: Fd;
  /** Uid of the broker. Only this uid and root are served. See `brokerUid`. */
  readonly brokerUid: number;
  readonly authority: Pick<PolkitAuthority, 'check'>;
  readonly log: AuthorizerLog;
}

export interface Authorizer {
  /** Number of connections, each with a request under way or expected. The process must not exit as idle while there are any. */
  readonly pending: number;
  /** Accepts no more connections: the backlog is left to the next process. Idempotent. */
  stopListening(): void;
  /** Stops listening and withdraws every request. Idempotent. */
  close(): void;
}

const LIMITS: ConnectionLimits = {
  messageBytes: 16 * 1024,
  maxFdsPerMessage: 0,
  depth: 4,
  queuedBytes: 64 * 1024,
  queuedFds: 0,
};
/** The broker has at most this many requests; polkit receives 64. */
const MAX_CONNECTIONS = 128;
/** Milliseconds for the peer to send its request after connecting, and to disconnect after the reply. */
const IDLE_MS = 10_000;
const UNAVAILABLE = `${AUTHORIZER_INTERFACE.name}.Unavailable`;

/** One connection of the broker. */
interface Peer {
  readonly withdrawn: AbortController;
  requested: boolean;
  idle: NodeJS.Timeout | null;
}

/**
 * For main.ts:
 *
 *     const listener = passedListener() ?? (path === undefined ? null : bindListener(path));
 *     const authority = new PolkitAuthority(bus);
 *     const authorizer = serveAuthorizer({ listener, brokerUid: brokerUid(options['broker-user']), authority, log });
 *     // idle exit: authorizer.pending === 0; at the end: authorizer.stopListening(), and close() when none are pending
 */
export function serveAuthorizer(options: AuthorizerOptions): Authorizer {
  return new AuthorizerServer(options);
}

class AuthorizerServer implements Authorizer {
  readonly #options: AuthorizerOptions;
  readonly #service: Service<Peer>;
  readonly #acceptor: Acceptor;
  readonly #connections = new Map<Peer, Connection>();

  constructor(options: AuthorizerOptions) {
    this.#options = options;
    this.#service = new Service<Peer>({
      vendor: 'perfbroker',
      product: 'perfbroker-bus',
      version: VERSION,
      url: 'https://varlink.org',
      interfaces: [
        { definition: AUTHORIZER_INTERFACE, handlers: { Check: (call, reply) => this.#check(call, reply) } },
      ],
      internalError: (error, method) => this.#failure(error, method),
    });
    this.#acceptor = new Acceptor({
      listener: options.listener,
      onSocket: (socket) => this.#onConnection(socket),
      onError: ({ message }) => options.log.error(`authorizer: accept: ${message}`),
    });
  }

  get pending(): number {
    return this.#connections.size;
  }

  stopListening(): void {
    this.#acceptor.close();
  }

  close(): void {
    this.stopListening();
    for (const connection of [...this.#connections.values()]) connection.close();
  }

  #onConnection(socket: Fd): void {
    const refusal = this.#refusal(socket);
    if (refusal !== null) {
      this.#options.log.warn(`authorizer: ${refusal}`);
      return refuse(socket, refusal);
    }
    const peer: Peer = { withdrawn: new AbortController(), requested: false, idle: null };
    const connection = this.#service.serve({
      socket,
      limits: LIMITS,
      context: peer,
      onClose: (reason) => this.#unregister(peer, reason),
    });
    this.#connections.set(peer, connection);
    connection.watchHangup();
    peer.idle = setTimeout(() => connection.close(), IDLE_MS);
  }

  /** Returns why this peer is refused, or null. */
  #refusal(socket: Fd): string | null {
    let uid: number;
    try {
      const credentials = native.peerCredentials(socket);
      if (typeof credentials.pidfd === 'number') native.close(credentials.pidfd);
      ({ uid } = credentials);
    } catch (error) {
      return `the credentials of a peer cannot be read: ${(error as Error).message}`;
    }
    const { brokerUid } = this.#options;
    if (uid !== 0 && uid !== brokerUid)
      return `uid ${uid} is not served: only the broker (uid ${brokerUid}) and root are`;
    if (this.#connections.size >= MAX_CONNECTIONS) return `${MAX_CONNECTIONS} authorization requests are under way`;
    return null;
  }

  #unregister(peer: Peer, { kind, detail }: CloseReason): void {
    if (peer.idle !== null) clearTimeout(peer.idle);
    this.#connections.delete(peer);
    peer.withdrawn.abort();
    if (kind !== 'eof' && kind !== 'closed')
      this.#options.log.info(`authorizer: a connection ended: ${kind}: ${detail}`);
  }

  async #check({ parameters, context: peer }: Call<Peer>, reply: Replier): Promise<void> {
    if (peer.requested) return unavailable(reply, 'only one request per connection');
    peer.requested = true;
    if (peer.idle !== null) clearTimeout(peer.idle);
    const request = parameters as unknown as CheckParameters;
    try {
      const { authorized, challenge, dismissed } = await this.#options.authority.check(request, peer.withdrawn.signal);
      reply.reply({ authorized, challenge, dismissed });
    } catch (error) {
      if (error instanceof RequestError) throw new ValidationError(error.field, error.message);
      const cause = dialogText((error as Error).message);
      if (!(error instanceof RequestWithdrawn)) this.#logFailure(request, cause);
      unavailable(reply, cause);
    }
    const connection = this.#connections.get(peer);
    if (connection !== undefined) peer.idle = setTimeout(() => connection.close(), IDLE_MS);
  }

  #logFailure({ action, subject: { uid, pid, busName } }: CheckParameters, cause: string): void {
    this.#options.log.warn(`authorizer: ${action} for uid ${uid} (${busName ?? `pid ${pid}`}) failed: ${cause}`);
  }

  /** Logs a fault of this program and returns an error without details. */
  #failure(error: unknown, method: string): ErrorReply {
    this.#options.log.error(`${method}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    return { name: UNAVAILABLE, parameters: { message: 'a fault in perfbroker-bus; its log has the details' } };
  }
}

function unavailable(reply: Replier, message: string): void {
  reply.error(UNAVAILABLE, { message });
}

/** Sends an error reply to the request that the peer is about to make, and closes the connection. */
function refuse(socket: Fd, message: string): void {
  try {
    native.sendMessage(socket, Buffer.from(`${JSON.stringify({ error: UNAVAILABLE, parameters: { message } })}\0`), []);
  } catch {
    // The peer is gone.
  }
  native.closeConnection(OWN_LANE, socket);
}
