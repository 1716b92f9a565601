import type { Subject } from '../model/subject.js';
import type { Fd } from '../native.js';
import type { Peer } from './peer.js';

/** One accepted connection and who is at its other end. */
export class ClientConnection {
  readonly peer: Peer;
  /** Valid until `closed`; owned by the Varlink connection. */
  readonly socket: Fd;
  closed = false;

  constructor(socket: Fd, peer: Peer) {
    this.socket = socket;
    this.peer = peer;
  }

  get subject(): Subject {
    return this.peer.subject;
  }
}
