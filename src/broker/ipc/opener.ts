/** Requests to the opener. */
import { OPENER } from '../../common/native_messages.js';
import type { Fd } from '../../native.js';
import { NO_LOCK, type LockScope } from './lock_scope.js';
import { HelperClient, NO_USER } from './helper_client.js';
import type { HelperMessage } from './helper_message.js';
import type { HelperSession } from './helper_session.js';
import { decodeReply, encodeOpen, encodeRelease, type OpenerReply, type OpenerRequest } from './opener_protocol.js';

/** An answered request; `fds` belong to the caller. */
export interface OpenReply {
  readonly reply: OpenerReply;
  readonly fds: readonly Fd[];
  /** Serial of the request, for a release of its rings. */
  readonly serial: number;
}

/** Workers of all users. The opener has 1,024 (Workers::kMost in native/core/workers.h). */
const MOST_WORKERS = 960;
/** Eight other users have to hold locks (MAX_LATE_PER_OWNER) before an observer of them is refused its own processes. */
const MOST_LATE = 32;
/** A worker opens 253 events in milliseconds; a crowded machine may take a thousand times as long. */
const DEADLINE_MS = 10_000;

export class OpenerClient {
  readonly #helper: HelperClient<OpenerReply>;

  /**
   * @param onDeath called once when the opener is gone or breaks the protocol: nothing can be served any more
   * @param onMessage called for each request that ends, or becomes late; for the log
   */
  constructor(socket: Fd, onDeath: (reason: string) => void, onMessage?: (message: HelperMessage) => void) {
    this.#helper = new HelperClient<OpenerReply>(socket, {
      protocol: {
        messageBytes: OPENER.reply.size,
        decode: decodeReply,
        isLast: () => true,
        // Releases rings that do not exist: the worker closes the fds of its last request before it handles the next one.
        encodeReset: encodeRelease,
      },
      codes: { gone: 'opener-gone', busy: 'opener-busy', late: 'opener-late' },
      onDeath,
      ...(onMessage === undefined ? {} : { onMessage }),
      deadlineMs: DEADLINE_MS,
      mostWorkers: MOST_WORKERS,
      mostLate: MOST_LATE,
    });
  }

  /** Resolves when the opener has proved what it holds. */
  ready(): Promise<void> {
    return this.#helper.ready();
  }

  /**
   * Begins the requests of one grant. The caller ends its turn with `done`, and the worker with all its mapped rings with `release`.
   * @param user whose turn it takes
   * @param scopes those of all its requests
   */
  async begin(user: number, scopes: readonly LockScope[]): Promise<OpenerSession> {
    return new OpenerSession(await this.#helper.begin(user, scopes));
  }

  /** Resolves when a worker of the opener has answered. It is asked to unmap rings that do not exist. */
  async ping(): Promise<void> {
    const session = await this.begin(NO_USER, []);
    try {
      await session.releaseRings(1, NO_LOCK);
    } finally {
      void session.endWorker();
    }
  }

  close(): void {
    this.#helper.close();
  }
}

/** A worker of the opener. */
export class OpenerSession {
  readonly #session: HelperSession<OpenerReply>;
  #mayHaveRings = false;
  #released: Promise<void> | null = null;

  constructor(session: HelperSession<OpenerReply>) {
    this.#session = session;
  }

  /**
   * @param connection the client's socket, which the opener asks who the client is
   * @param target pidfd or cgroup directory; null for system targets. Both stay the caller's.
   * @throws KernelRefused EMFILE when this process has no room for the fds
   */
  async open(
    request: Omit<OpenerRequest, 'serial'>,
    scope: LockScope,
    connection: Fd,
    target: Fd | null,
  ): Promise<OpenReply> {
    this.#mayHaveRings ||= request.ringPages > 0;
    const { first, fds } = await this.#session.request({
      kind: 'open',
      scope,
      encode: (serial) => encodeOpen({ ...request, serial }),
      fds: target === null ? [connection] : [connection, target],
    });
    return { reply: first, fds, serial: first.serial };
  }

  /** Unmaps the rings that an earlier request of this session mapped in advance. */
  async releaseRings(request: number, scope: LockScope): Promise<void> {
    await this.#session.request({ kind: 'release', encode: encodeRelease, scope, serial: request, fds: [] });
  }

  /** Ends the turn: the user's next session may begin. */
  done(): void {
    this.#session.done();
  }

  /**
   * Releases the worker. Resolves when it has no fd and no ring of these requests any more. A second call does nothing: the worker may serve
   * others by then.
   */
  release(): Promise<void> {
    return (this.#released ??= this.#mayHaveRings ? this.#session.endWorker() : this.#session.release());
  }

  /** Lets the worker end. Resolves when it has ended. */
  endWorker(): Promise<void> {
    return (this.#released ??= this.#session.endWorker());
  }
}
