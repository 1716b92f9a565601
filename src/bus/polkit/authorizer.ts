/** Serves org.perfbroker.Authorizer: the broker's questions go on to polkit, and its answers back. */
import { native, OWN_LANE, type Fd } from '../../native.js';
import { Acceptor } from '../../varlink/acceptor.js';
import { AUTHORIZER_INTERFACE } from '../../interfaces/authorizer_interface.js';
import type { CheckParameters } from '../../interfaces/authorizer_types.js';
import type { CloseReason, Connection, ConnectionLimits } from '../../varlink/connection.js';
import { Service, type Call, type ErrorReply, type Replier } from '../../varlink/service.js';
import { ValidationError } from '../../varlink/validate.js';
import { VERSION } from '../../version.js';
import { QuestionError, QuestionWithdrawn, type PolkitAuthority } from './polkit.js';
import { printable } from './polkit_question.js';

export interface AuthorizerLog {
  warn(message: string): unknown;
  info(message: string): unknown;
  error(message: string): unknown;
}

export interface AuthorizerOptions {
  /** Listening, non-blocking; owned by the authorizer from now on. See `passedListener` and `bindListener`. */
  readonly listener: Fd;
  /** Only this uid and root are answered. See `brokerUid`. */
  readonly brokerUid: number;
  readonly authority: Pick<PolkitAuthority, 'check'>;
  readonly log: AuthorizerLog;
}

export interface Authorizer {
  /** Connections: questions under way, and ones that may still come. While there are any, do not end for idleness. */
  readonly pending: number;
  /** Takes no more questions: what waits to be accepted is for the next process. Idempotent. */
  stopListening(): void;
  /** Takes every question back, too. Idempotent. */
  close(): void;
}

const LIMITS: ConnectionLimits = {
  messageBytes: 16 * 1024,
  maxFdsPerMessage: 0,
  depth: 4,
  queuedBytes: 64 * 1024,
  queuedFds: 0,
};
/** The broker has at most as many questions; polkit gets 64. */
const MAX_CONNECTIONS = 128;
/** For the question after connecting, and for hanging up after the answer. */
const IDLE_MS = 10_000;
const UNAVAILABLE = `${AUTHORIZER_INTERFACE.name}.Unavailable`;

/** One connection of the broker. */
interface Peer {
  readonly withdrawn: AbortController;
  asked: boolean;
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
      onSocket: (socket) => this.#greet(socket),
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

  #greet(socket: Fd): void {
    const refusal = this.#refusal(socket);
    if (refusal !== null) {
      this.#options.log.warn(`authorizer: ${refusal}`);
      return refuse(socket, refusal);
    }
    const peer: Peer = { withdrawn: new AbortController(), asked: false, idle: null };
    const connection = this.#service.serve({
      socket,
      limits: LIMITS,
      context: peer,
      onClose: (reason) => this.#leave(peer, reason),
    });
    this.#connections.set(peer, connection);
    connection.watchHangup();
    peer.idle = setTimeout(() => connection.close(), IDLE_MS);
  }

  /** Why this peer is not answered, or null. */
  #refusal(socket: Fd): string | null {
    let uid: number;
    try {
      const credentials = native.peerCredentials(socket);
      if (typeof credentials.pidfd === 'number') native.close(credentials.pidfd);
      ({ uid } = credentials);
    } catch (error) {
      return `the credentials of a peer can not be read: ${(error as Error).message}`;
    }
    const { brokerUid } = this.#options;
    if (uid !== 0 && uid !== brokerUid)
      return `only the broker (uid ${brokerUid}) and root may ask here, and this is uid ${uid}`;
    if (this.#connections.size >= MAX_CONNECTIONS) return `${MAX_CONNECTIONS} questions are under way`;
    return null;
  }

  #leave(peer: Peer, { kind, detail }: CloseReason): void {
    if (peer.idle !== null) clearTimeout(peer.idle);
    this.#connections.delete(peer);
    peer.withdrawn.abort();
    if (kind !== 'eof' && kind !== 'closed')
      this.#options.log.info(`authorizer: a connection ended: ${kind}: ${detail}`);
  }

  async #check({ parameters, context: peer }: Call<Peer>, reply: Replier): Promise<void> {
    if (peer.asked) return unavailable(reply, 'one question a connection');
    peer.asked = true;
    if (peer.idle !== null) clearTimeout(peer.idle);
    const question = parameters as unknown as CheckParameters;
    try {
      const { authorized, challenge, dismissed } = await this.#options.authority.check(question, peer.withdrawn.signal);
      reply.reply({ authorized, challenge, dismissed });
    } catch (error) {
      if (error instanceof QuestionError) throw new ValidationError(error.field, error.message);
      const cause = printable((error as Error).message);
      if (!(error instanceof QuestionWithdrawn)) this.#logFailure(question, cause);
      unavailable(reply, cause);
    }
    const connection = this.#connections.get(peer);
    if (connection !== undefined) peer.idle = setTimeout(() => connection.close(), IDLE_MS);
  }

  #logFailure({ action, subject: { uid, pid, busName } }: CheckParameters, cause: string): void {
    this.#options.log.warn(`authorizer: ${action} for uid ${uid} (${busName ?? `pid ${pid}`}) is unanswered: ${cause}`);
  }

  /** A fault of this program: the log has it, the broker is told no more than that. */
  #failure(error: unknown, method: string): ErrorReply {
    this.#options.log.error(`${method}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    return { name: UNAVAILABLE, parameters: { message: 'a fault in perfbroker-bus; its log has the details' } };
  }
}

function unavailable(reply: Replier, message: string): void {
  reply.error(UNAVAILABLE, { message });
}

/** The peer gets an answer to whatever it is about to ask; the kernel keeps it until it is read. */
function refuse(socket: Fd, message: string): void {
  try {
    native.sendMessage(socket, Buffer.from(`${JSON.stringify({ error: UNAVAILABLE, parameters: { message } })}\0`), []);
  } catch {
    // Gone already.
  }
  native.closeConnection(OWN_LANE, socket);
}
