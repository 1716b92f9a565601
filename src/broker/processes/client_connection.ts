import { brokerError } from '../../model/errors/error_table.js';
import type { Subject } from '../../model/identity/subject.js';
import { native, type Fd, type LaneUser, type PeerIds } from '../../native.js';
import type { Connection } from '../../varlink/connection.js';
import type { Peer } from './peer.js';
import type { ConnectionPermit } from '../fairness/connection_quota.js';

/** An accepted connection and its client. */
export class ClientConnection {
  /** Valid until `closed`; owned by the Varlink connection. */
  readonly socket: Fd;
  /** Known from the start. The pid may belong to another process by now. */
  readonly ids: PeerIds;
  readonly permit: ConnectionPermit;
  readonly #cameMs: number = performance.now();
  #peer: Peer | null = null;
  /** Time of its last call; null before the first. */
  #calledMs: number | null = null;
  readonly #gone: AbortController = new AbortController();
  #connection: Connection | null = null;

  constructor(socket: Fd, ids: PeerIds, permit: ConnectionPermit) {
    this.socket = socket;
    this.ids = ids;
    this.permit = permit;
  }

  /** Called with the first message, when the client has been vetted. */
  identify(peer: Peer): void {
    this.#peer = peer;
  }

  get identified(): boolean {
    return this.#peer !== null;
  }

  /** The vetted client. Calls come after `identify`. */
  get peer(): Peer {
    if (this.#peer === null) throw new Error('a client that was not vetted');
    return this.#peer;
  }

  get subject(): Subject {
    return this.peer.subject;
  }

  /** Milliseconds since it was accepted; monotonic clock. */
  get ageMs(): number {
    return performance.now() - this.#cameMs;
  }

  /** Milliseconds since its last call came; null before the first. */
  get quietMs(): number | null {
    return this.#calledMs === null ? null : performance.now() - this.#calledMs;
  }

  noteCall(): void {
    this.#calledMs = performance.now();
  }

  get closed(): boolean {
    return this.#gone.signal.aborted;
  }

  /** @throws TargetGone client-gone */
  requireConnected(): void {
    if (this.closed) throw brokerError('TargetGone', 'client-gone', 'the caller has disconnected');
  }

  /**
   * Runs `use` with a duplicate of the socket, for a helper process. The request may wait behind others while the client disconnects: then the
   * number of the socket itself could belong to another connection.
   * @param lane of the client's user
   * @throws TargetGone client-gone
   */
  async withSocket<T>(lane: LaneUser, use: (socket: Fd) => Promise<T>): Promise<T> {
    this.requireConnected();
    const socket = native.duplicate(this.socket);
    try {
      return await use(socket);
    } finally {
      // While the client is connected this is not the last reference, and closing it does not wait.
      if (this.closed) native.closeConnection(lane, socket);
      else native.close(socket);
    }
  }

  /** Called once, before the first call comes. */
  serveBy(connection: Connection): void {
    this.#connection = connection;
  }

  /** For a call that takes long: the signal aborts when the client disconnects. The socket is watched until the call has ended. */
  watchHangup(): AbortSignal {
    this.#connection?.watchHangup();
    return this.#gone.signal;
  }

  /** The connection has been closed. */
  leave(): void {
    this.#gone.abort();
  }

  /** Drops what was not sent. */
  close(): void {
    this.#connection?.close();
  }
}
