import type { Subject } from '../model/subject.js';
import type { Fd } from '../native.js';
import type { Connection } from '../varlink/connection.js';
import type { Peer } from './peer.js';

/** One accepted connection and who is at its other end. */
export class ClientConnection {
  readonly peer: Peer;
  /** Valid until `closed`; owned by the Varlink connection. */
  readonly socket: Fd;
  readonly #cameMs: number = performance.now();
  /** Of its last call; null before the first. */
  #calledMs: number | null = null;
  readonly #gone: AbortController = new AbortController();
  #connection: Connection | null = null;

  constructor(socket: Fd, peer: Peer) {
    this.socket = socket;
    this.peer = peer;
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

  /** Called once, before the first call comes. */
  serveBy(connection: Connection): void {
    this.#connection = connection;
  }

  /** For a call that takes its time: aborted as soon as the client hangs up, which is looked for until the call has ended. */
  watchHangup(): AbortSignal {
    this.#connection?.watchHangup();
    return this.#gone.signal;
  }

  /** The connection has been closed. */
  leave(): void {
    this.#gone.abort();
  }
}
