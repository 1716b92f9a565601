import type { Subject } from '../model/subject.js';
import type { Fd, PeerIds } from '../native.js';
import type { Connection } from '../varlink/connection.js';
import type { Peer } from './peer.js';
import type { Place } from './places.js';

/** One accepted connection and who is at its other end. */
export class ClientConnection {
  /** Valid until `closed`; owned by the Varlink connection. */
  readonly socket: Fd;
  /** Known from the beginning; the number may be that of another process by now. */
  readonly ids: PeerIds;
  readonly place: Place;
  readonly #cameMs: number = performance.now();
  #peer: Peer | null = null;
  /** Of its last call; null before the first. */
  #calledMs: number | null = null;
  readonly #gone: AbortController = new AbortController();
  #connection: Connection | null = null;

  constructor(socket: Fd, ids: PeerIds, place: Place) {
    this.socket = socket;
    this.ids = ids;
    this.place = place;
  }

  /** The first message has come, and its sender has been vetted. */
  identify(peer: Peer): void {
    this.#peer = peer;
  }

  get identified(): boolean {
    return this.#peer !== null;
  }

  /** For calls, which come after `identify`. */
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

  /** Drops what was not sent. */
  close(): void {
    this.#connection?.close();
  }
}
