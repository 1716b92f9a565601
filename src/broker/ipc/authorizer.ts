/** Asks org.perfbroker.Authorizer, the front end's side of polkit: one question, one connection. */
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
  /** What the dialog tells. */
  readonly details: Readonly<Record<string, string>>;
  /** Whether there may be a dialog. */
  readonly interactive: boolean;
}

export interface Answer {
  /**
   * refused: polkit said no; challenge: it would have to ask a human; dismissed: it did, and the dialog was closed;
   * unavailable: it can not be asked; timed-out: it did not answer; withdrawn: nobody waits for the answer any more;
   * too-many: it was not asked, as too many questions are open. Only `authorized` is a yes.
   */
  readonly kind:
    'authorized' | 'refused' | 'challenge' | 'dismissed' | 'unavailable' | 'timed-out' | 'withdrawn' | 'too-many';
  /** For the log and the error; empty when the kind says it all. */
  readonly detail: string;
}

export interface AuthorizerOptions {
  /** Of its socket. */
  readonly path: string;
  /** Who may listen there: systemd (root) in the front end's name, or the front end. */
  readonly listeners: readonly number[];
  readonly subordinateUids: SubordinateUids;
  /** Milliseconds until the answer is no. */
  readonly interactiveMs?: number;
  readonly otherwiseMs?: number;
}

/** A human reads, and types a password. */
const INTERACTIVE_MS = 120_000;
/** polkit looks into its rules. */
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

/** Why there was no answer. */
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

  /** Never throws: whatever goes wrong is an answer, and no yes. @param withdrawn takes the question back */
  async ask(question: Question, withdrawn: AbortSignal): Promise<Answer> {
    if (this.#closed || withdrawn.aborted) return { kind: 'withdrawn', detail: '' };
    const { uid } = question.subject;
    // The limit of each would be no limit; and polkit's sessions and users mean nothing there.
    if (this.#options.subordinateUids.mayBeMany(question.subject))
      return {
        kind: 'unavailable',
        detail: `uid ${uid} is of /etc/subuid, or in a user namespace of its own, for which polkit is not asked`,
      };
    const own = [...this.#open].filter((other) => other.uid === uid).length;
    if (own >= MAX_QUESTIONS_PER_USER || this.#open.size >= MAX_QUESTIONS)
      return {
        kind: 'too-many',
        detail: `uid ${uid} has ${own} of ${MAX_QUESTIONS_PER_USER} open questions, all users ${this.#open.size} of ${MAX_QUESTIONS}`,
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

  /** Takes every question back, and asks none any more. */
  close(): void {
    this.#closed = true;
    for (const { withdraw } of this.#open) withdraw();
  }

  /** @throws NoAnswer */
  #connect(): Channel {
    const { path, listeners } = this.#options;
    let socket: Fd;
    try {
      // This is the event loop: a full backlog is a no.
      socket = native.connectUnix(path, 0);
    } catch (error) {
      throw new NoAnswer('unavailable', `${path}: ${(error as NativeError).code}`);
    }
    try {
      const uid = listenerOf(socket);
      if (!listeners.includes(uid)) throw new NoAnswer('unavailable', `${path} belongs to uid ${uid}`);
      return new Channel({
        socket,
        definition: AUTHORIZER_INTERFACE,
        limits: LIMITS,
        strict: true,
        errors: {
          fromReply: (error, { message }) =>
            new NoAnswer('unavailable', `${error}${typeof message === 'string' ? `: ${message.slice(0, 200)}` : ''}`),
          closed: (detail) => new NoAnswer('unavailable', detail),
          unexpected: (detail) => new NoAnswer('unavailable', `what it answered is no answer: ${detail}`),
          timedOut: (_, timeoutMs) => new NoAnswer('timed-out', `no answer within ${timeoutMs / 1000} s`),
        },
      });
    } catch (error) {
      native.closeConnection(OWN_LANE, socket);
      throw error;
    }
  }
}

/** Who called listen(2) on the other end: what SO_PEERCRED says of a socket that connected. */
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
