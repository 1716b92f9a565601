import { native, type Fd, type LaneUser } from '../../native.js';
import type { ErrorReply } from '../../varlink/service.js';

/** Connections that are kept at a time. */
const MAX_REFUSED = 64;
/** Connections of one user. A few users cannot use up the limit of all. */
const MAX_REFUSED_OF_USER = 16;
/** Time for which a connection is kept. */
const REFUSED_MS = 1000;

/**
 * Answers connections that get no service. Each is kept for a moment, so that the client can send its call and read the answer. Those
 * above the limits are closed at once.
 */
export class RefusedConnections {
  readonly #keptMs: number;
  readonly #ofUser = new Map<number, number>();
  #size = 0;

  /** @param keptMs for tests */
  constructor(keptMs: number = REFUSED_MS) {
    this.#keptMs = keptMs;
  }

  /** Connections that are kept. */
  get size(): number {
    return this.#size;
  }

  /** Owns the socket from now on. */
  refuse(socket: Fd, uid: number, lane: LaneUser, { name, parameters }: ErrorReply): void {
    try {
      native.sendMessage(socket, Buffer.from(`${JSON.stringify({ error: name, parameters })}\0`), []);
      native.endWriting(socket);
    } catch {
      // Gone already.
    }
    const ofUser = this.#ofUser.get(uid) ?? 0;
    if (this.#size >= MAX_REFUSED || ofUser >= MAX_REFUSED_OF_USER) return native.closeConnection(lane, socket);
    this.#size += 1;
    this.#ofUser.set(uid, ofUser + 1);
    setTimeout(() => {
      this.#forget(uid);
      native.closeConnection(lane, socket);
    }, this.#keptMs);
  }

  #forget(uid: number): void {
    this.#size -= 1;
    const left = (this.#ofUser.get(uid) ?? 1) - 1;
    if (left === 0) this.#ofUser.delete(uid);
    else this.#ofUser.set(uid, left);
  }
}
