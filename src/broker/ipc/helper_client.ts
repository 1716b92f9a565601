/**
 * Requests to a native helper process (opener, tracer). Its workers carry them out, and a client's task can make the kernel keep a worker
 * waiting for any time. So users do not share workers: a user has one session under way. A late session makes way for the next, and costs
 * its user the targets that {@link LateSessions} names.
 */
import type { Fd } from '../../native.js';
import { brokerError, type ErrorCode } from '../../model/errors/error_table.js';
import type { LockScope } from './lock_scope.js';
import type { HelperMessage } from './helper_message.js';
import { HelperSession, type HelperProtocol } from './helper_session.js';
import { HelperSocket } from './helper_socket.js';
import { LateSessions } from './late_sessions.js';

export interface HelperOptions<Message> {
  readonly protocol: HelperProtocol<Message>;
  readonly codes: {
    readonly gone: ErrorCode<'Unavailable'>;
    readonly busy: ErrorCode<'Unavailable'>;
    readonly late: ErrorCode<'Unavailable'>;
  };
  /** Called once when the helper is gone or breaks the protocol: nothing can be served any more. */
  readonly onDeath: (reason: string) => void;
  /** Called for each request that ends, or becomes late; for the log. */
  readonly onMessage?: (message: HelperMessage) => void;
  /** Milliseconds that one request of a session may take. */
  readonly deadlineMs: number;
  /** Workers of all users. The helper has some more, for {@link NO_USER}. */
  readonly mostWorkers: number;
  /** Late sessions of one user after which all its requests are refused. */
  readonly mostLate: number;
}

/** The user of the broker's own requests. Its sessions find a worker when all others are taken. */
export const NO_USER = -1;

/** Sessions of one user that wait for their turn. The first limit is one call at a time for each connection; this is the second. */
const MAX_WAITING_PER_USER = 256;
/** Workers of one user: those that hold rings, those that are ending, and late ones. */
export const MAX_WORKERS_PER_USER = 32;
/**
 * Sessions of all users, without late ones. The fds of their answers are in flight together: 64 times 253 stay below the opener's RLIMIT_NOFILE.
 * Late sessions come on top. Where many go on at the same moment, answers fail with ETOOMANYREFS until the broker has read the others.
 */
export const MAX_RUNNING = 64;
/** Workers that are kept for the next session, and for how long: to fork one takes longer than most requests. */
const MAX_IDLE = 2;
const IDLE_MS = 100;

interface Waiting<Message> {
  readonly scopes: readonly LockScope[];
  readonly resolve: (session: HelperSession<Message>) => void;
  readonly reject: (error: Error) => void;
}

interface User<Message> {
  readonly waiting: Waiting<Message>[];
  /** The session under way, unless it is late. */
  current: HelperSession<Message> | null;
  readonly late: LateSessions<HelperSession<Message>>;
  /** Sessions that are done and whose workers have not ended. */
  readonly done: Set<HelperSession<Message>>;
  /** Refuses the waiting sessions when none of the user's workers has ended in time. */
  blocked: NodeJS.Timeout | null;
}

export class HelperClient<Message> {
  readonly #socket: HelperSocket;
  readonly #options: HelperOptions<Message>;
  /** In the order of their turns. */
  readonly #users = new Map<number, User<Message>>();
  /** The user of each session that has one. */
  readonly #userOf = new Map<HelperSession<Message>, User<Message>>();
  /** Idle workers, with the timers that end them. */
  readonly #idle = new Map<HelperSession<Message>, NodeJS.Timeout>();
  #running = 0;
  #workers = 0;
  #made = 0;
  #dead = false;

  constructor(socket: Fd, options: HelperOptions<Message>) {
    this.#options = options;
    this.#socket = new HelperSocket(socket, options.protocol, (reason) => this.#die(reason));
  }

  /** Resolves when the helper has proved what it holds. */
  ready(): Promise<void> {
    return this.#socket.ready();
  }

  /**
   * Begins a session with a worker, which the caller has to release.
   * @param user whose turn it takes: SubordinateUids.userOf
   * @param scopes those of all requests that the session is going to have
   * @throws BrokerError Unavailable; NativeError when no channel can be made
   */
  begin(user: number, scopes: readonly LockScope[]): Promise<HelperSession<Message>> {
    const state = this.#users.get(user) ?? newUser<Message>(this.#options.mostLate);
    const refusal = this.#refusal(user, state, scopes);
    if (refusal !== null) return Promise.reject(refusal);
    this.#users.set(user, state);
    return new Promise((resolve, reject) => {
      state.waiting.push({ scopes, resolve, reject });
      this.#next();
    });
  }

  close(): void {
    if (this.#dead) return;
    this.#dead = true;
    this.#socket.close();
    for (const { waiting, current, late, done, blocked } of this.#users.values()) {
      if (blocked !== null) clearTimeout(blocked);
      for (const { reject } of waiting) reject(this.#gone());
      for (const session of [...late.sessions, ...done]) session.abandon(this.#gone());
      current?.abandon(this.#gone());
    }
    for (const session of [...this.#idle.keys()]) session.abandon(this.#gone());
    this.#users.clear();
  }

  #gone(): Error {
    return brokerError('Unavailable', this.#options.codes.gone, 'it has ended');
  }

  #late(why: string): Error {
    return brokerError('Unavailable', this.#options.codes.late, why);
  }

  #busy(why: string): Error {
    return brokerError('Unavailable', this.#options.codes.busy, why);
  }

  #refusal(user: number, { waiting, late, done }: User<Message>, scopes: readonly LockScope[]): Error | null {
    if (this.#dead) return this.#gone();
    const lateness = late.refusal(scopes);
    if (lateness !== null) return this.#late(lateness);
    const held = [...done].filter(({ released }) => !released).length;
    if (held + late.size >= MAX_WORKERS_PER_USER)
      return this.#busy(`${held} earlier requests of this user hold rings, and ${late.size} have not been finished`);
    if (user !== NO_USER && this.#workers >= this.#options.mostWorkers)
      return this.#busy(`${this.#workers} workers are taken, by all users`);
    if (waiting.length < MAX_WAITING_PER_USER) return null;
    return this.#busy(`${waiting.length} requests of this user are waiting already`);
  }

  /** Begins the sessions that may begin. A served user goes to the end of the map, which keeps the order of insertion. */
  #next(): void {
    for (const [user, state] of [...this.#users]) {
      if (this.#dead || this.#running >= MAX_RUNNING) return;
      if (state.current !== null) continue;
      if (state.waiting.length === 0) {
        if (workersOf(state) === 0) this.#users.delete(user);
        continue;
      }
      if (workersOf(state) >= MAX_WORKERS_PER_USER) {
        state.blocked ??= setTimeout(() => {
          this.#refuseWaiting(state, this.#busy(`${workersOf(state)} workers of this user have not ended yet`));
        }, this.#options.deadlineMs);
        continue;
      }
      if (state.blocked !== null) clearTimeout(state.blocked);
      state.blocked = null;
      this.#users.delete(user);
      this.#users.set(user, state);
      this.#start(user, state);
    }
  }

  #start(user: number, state: User<Message>): void {
    const { resolve, reject } = state.waiting.shift() ?? {};
    if (resolve === undefined || reject === undefined) return;
    let session: HelperSession<Message>;
    try {
      // The watchdog has to show that the helper still makes workers.
      session = (user === NO_USER ? null : this.#takeIdle()) ?? this.#newSession();
    } catch (error) {
      reject(error as Error);
      // No other event would start them.
      this.#refuseWaiting(state, error as Error);
      return;
    }
    this.#userOf.set(session, state);
    state.current = session;
    this.#running += 1;
    this.#workers += 1;
    session.begin();
    this.#socket.flush();
    if (this.#dead) reject(this.#gone());
    else resolve(session);
  }

  /** @throws NativeError when no channel can be made */
  #newSession(): HelperSession<Message> {
    const { protocol, deadlineMs, onMessage } = this.#options;
    const worker = (this.#made += 1);
    const session = new HelperSession<Message>(protocol, deadlineMs, {
      onDone: (): void => this.#onDone(session),
      onLate: (scope): Error => this.#onLate(session, scope),
      onIdle: (): void => this.#onIdle(session),
      onEnd: (): Error => this.#onEnd(session),
      onBroken: (reason): void => this.#die(reason),
      onMessage: (message): void => onMessage?.({ ...message, worker }),
    });
    this.#socket.queue(session);
    return session;
  }

  #onDone(session: HelperSession<Message>): void {
    const state = this.#userOf.get(session);
    if (state?.current !== session) return;
    state.current = null;
    state.done.add(session);
    this.#running -= 1;
    this.#next();
  }

  /** Its worker holds nothing of its user any more. */
  #onIdle(session: HelperSession<Message>): void {
    this.#forget(session);
    const endIdle = (): void => session.abandon(this.#gone());
    if (this.#idle.size >= MAX_IDLE) endIdle();
    else this.#idle.set(session, setTimeout(endIdle, IDLE_MS));
    this.#next();
  }

  #takeIdle(): HelperSession<Message> | null {
    for (const [session, end] of this.#idle) {
      clearTimeout(end);
      this.#idle.delete(session);
      return session;
    }
    return null;
  }

  /** The session makes way for the next. Waiting sessions are refused as if they came now. */
  #onLate(session: HelperSession<Message>, scope: LockScope): Error {
    const state = this.#userOf.get(session);
    if (state !== undefined) {
      state.current = null;
      state.late.add(session, scope);
      this.#running -= 1;
      this.#refuseLate(state);
      this.#next();
    }
    return this.#late(`the request has not been finished within ${this.#options.deadlineMs} ms`);
  }

  #refuseLate(state: User<Message>): void {
    for (const one of state.waiting.splice(0)) {
      const refusal = state.late.refusal(one.scopes);
      if (refusal === null) state.waiting.push(one);
      else one.reject(this.#late(refusal));
    }
  }

  #onEnd(session: HelperSession<Message>): Error {
    clearTimeout(this.#idle.get(session));
    this.#idle.delete(session);
    this.#forget(session);
    this.#next();
    return brokerError('Unavailable', this.#options.codes.late, 'the worker ended without an answer');
  }

  /** Removes the session from the counts of its user. */
  #forget(session: HelperSession<Message>): void {
    const state = this.#userOf.get(session);
    if (state === undefined) return;
    this.#userOf.delete(session);
    this.#workers -= 1;
    if (state.current === session) {
      state.current = null;
      this.#running -= 1;
    }
    state.late.delete(session);
    state.done.delete(session);
  }

  #refuseWaiting(state: User<Message>, error: Error): void {
    if (state.blocked !== null) clearTimeout(state.blocked);
    state.blocked = null;
    for (const { reject } of state.waiting.splice(0)) reject(error);
  }

  #die(reason: string): void {
    if (this.#dead) return;
    this.close();
    // After the callers have been answered: the handler ends this process.
    setImmediate(() => this.#options.onDeath(reason));
  }
}

function newUser<Message>(mostLate: number): User<Message> {
  return { waiting: [], current: null, late: new LateSessions(mostLate), done: new Set(), blocked: null };
}

/** Workers that have not ended, of sessions that are not under way. */
function workersOf<Message>({ late, done }: User<Message>): number {
  return late.size + done.size;
}
