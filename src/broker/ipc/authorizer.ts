/** Asks org.perfbroker.Authorizer, the front end's side of polkit: one question, one connection. */
import { Rollback } from '../../common/rollback.js';
import type { SubordinateUids } from '../../model/identity/subordinate_uids.js';
import type { Subject } from '../../model/identity/subject.js';
import { native, OWN_LANE, type Fd, type NativeError } from '../../native.js';
import { actionId, type AuthorizationAction } from '../../policy/decide/authorization.js';
import { AUTHORIZER_INTERFACE } from '../../interfaces/authorizer_interface.js';
import type { CheckParameters, CheckReply } from '../../interfaces/authorizer_types.js';
import { Channel } from '../../varlink/channel.js';
import type { ConnectionLimits } from '../../varlink/connection.js';

export interface Question {
  readonly subject: Subject;
  /** Its unique name on the system bus; null for a client of the socket. */
  readonly busName: string | null;
  readonly action: AuthorizationAction;
  /** Text for the dialog. */
  readonly details: Readonly<Record<string, string>>;
  /** True when polkit may show a dialog. */
  readonly interactive: boolean;
}

export interface Answer {
  /**
   * refused: polkit refused; challenge: polkit would have to show a dialog; dismissed: the user closed the dialog; unavailable: polkit cannot be
   * asked; timed-out: it did not answer; withdrawn: the caller has disconnected, or the broker ends; too-many: too many requests are pending.
   * Only `authorized` permits.
   */
  readonly kind:
    'authorized' | 'refused' | 'challenge' | 'dismissed' | 'unavailable' | 'timed-out' | 'withdrawn' | 'too-many';
  /** Details for the log and the error; may be empty. */
  readonly detail: string;
}

export interface AuthorizerOptions {
  /** Path of its socket. */
  readonly path: string;
  /** Uids that may listen there: root (systemd, in the front end's name) and the front end. */
  readonly listeners: readonly number[];
  readonly subordinateUids: SubordinateUids;
  /** Milliseconds until the question has timed out. */
  readonly interactiveMs?: number;
  readonly otherwiseMs?: number;
}

/** Time for a user to read the dialog and type a password. */
const INTERACTIVE_MS = 120_000;
/** Time for polkit to check its rules. */
const OTHERWISE_MS = 10_000;
const MAX_QUESTIONS_PER_USER = 4;
const MAX_QUESTIONS = 64;

const LIMITS: ConnectionLimits = {
  messageBytes: 16 * 1024,
  maxFdsPerMessage: 0,
  depth: 8,
  queuedBytes: 64 * 1024,
  queuedFds: 0,
};

/** The reason why there was no answer. */
class NoAnswer extends Error {
  readonly kind: 'unavailable' | 'timed-out';

  constructor(kind: 'unavailable' | 'timed-out', detail: string) {
    super(detail);
    this.kind = kind;
  }
}

interface OpenQuestion {
  readonly uid: number;
  readonly withdraw: () => void;
}

export class Authorizer {
  readonly #options: AuthorizerOptions;
  readonly #open = new Set<OpenQuestion>();
  #closed = false;

  constructor(options: AuthorizerOptions) {
    this.#options = options;
  }

  /** Questions that wait for an answer. */
  get pending(): number {
    return this.#open.size;
  }

  /** Never throws: every failure is an answer other than `authorized`. @param withdrawn withdraws the question */
  async ask(question: Question, withdrawn: AbortSignal): Promise<Answer> {
    if (this.#closed || withdrawn.aborted) return { kind: 'withdrawn', detail: '' };
    const { uid } = question.subject;
    // A limit for each uid would be no limit, and polkit does not know the users of another namespace.
    if (this.#options.subordinateUids.mayBeMany(question.subject))
      return {
        kind: 'unavailable',
        detail: `uid ${uid} is a uid of /etc/subuid, or in another user namespace; polkit is not asked for it`,
      };
    const own = [...this.#open].filter((other) => other.uid === uid).length;
    if (own >= MAX_QUESTIONS_PER_USER || this.#open.size >= MAX_QUESTIONS)
      return {
        kind: 'too-many',
        detail: `uid ${uid} has ${own} of ${MAX_QUESTIONS_PER_USER} pending authorization requests, all users ${this.#open.size} of ${MAX_QUESTIONS}`,
      };
    let channel: Channel;
    try {
      channel = this.#connect();
    } catch (error) {
      return { kind: 'unavailable', detail: (error as Error).message };
    }
    const state: { withdrawn: boolean } = { withdrawn: false };
    const withdraw = (): void => {
      state.withdrawn = true;
      channel.close();
    };
    const open = { uid, withdraw };
    this.#open.add(open);
    withdrawn.addEventListener('abort', withdraw, { once: true });
    try {
      const { interactiveMs = INTERACTIVE_MS, otherwiseMs = OTHERWISE_MS } = this.#options;
      const timeoutMs = question.interactive ? interactiveMs : otherwiseMs;
      const [reply] = await channel.call('Check', parametersOf(question), { timeoutMs });
      return answerOf(reply?.parameters as unknown as CheckReply | undefined);
    } catch (error) {
      if (state.withdrawn) return { kind: 'withdrawn', detail: '' };
      return { kind: error instanceof NoAnswer ? error.kind : 'unavailable', detail: (error as Error).message };
    } finally {
      withdrawn.removeEventListener('abort', withdraw);
      this.#open.delete(open);
      channel.close();
    }
  }

  /** Withdraws every question, and asks no more. */
  close(): void {
    this.#closed = true;
    for (const { withdraw } of this.#open) withdraw();
  }

  /** @throws NoAnswer */
  #connect(): Channel {
    const { path, listeners } = this.#options;
    let socket: Fd;
    try {
      // Nothing may block the event loop: a full backlog counts as unavailable.
      socket = native.connectUnix(path, 0);
    } catch (error) {
      throw new NoAnswer('unavailable', `${path}: ${(error as NativeError).code}`);
    }
    using connection = new Rollback(() => native.closeConnection(OWN_LANE, socket));
    const uid = listenerOf(socket);
    if (!listeners.includes(uid)) throw new NoAnswer('unavailable', `${path} belongs to uid ${uid}`);
    const channel = new Channel({
      socket,
      definition: AUTHORIZER_INTERFACE,
      limits: LIMITS,
      strict: true,
      errors: {
        fromReply: (error, { message }) =>
          new NoAnswer('unavailable', `${error}${typeof message === 'string' ? `: ${message.slice(0, 200)}` : ''}`),
        closed: (detail) => new NoAnswer('unavailable', detail),
        unexpected: (detail) => new NoAnswer('unavailable', `its answer is invalid: ${detail}`),
        timedOut: (_, timeoutMs) => new NoAnswer('timed-out', `no answer within ${timeoutMs / 1000} s`),
      },
    });
    connection.keep();
    return channel;
  }
}

/** The uid that called listen(2) on the other end: SO_PEERCRED of a socket that has connected. */
function listenerOf(socket: Fd): number {
  const { uid, pidfd } = native.peerCredentials(socket);
  if (typeof pidfd === 'number') native.close(pidfd);
  return uid;
}

function parametersOf({ subject, busName, action, details, interactive }: Question): CheckParameters {
  const { uid, pid, startTime } = subject;
  return {
    subject: { uid, pid, startTime: String(startTime), ...(busName === null ? {} : { busName }) },
    action: actionId(action),
    details,
    interactive,
  };
}

function answerOf(reply: CheckReply | undefined): Answer {
  if (reply?.authorized === true) return { kind: 'authorized', detail: '' };
  if (reply?.dismissed === true) return { kind: 'dismissed', detail: '' };
  return { kind: reply?.challenge === true ? 'challenge' : 'refused', detail: '' };
}
