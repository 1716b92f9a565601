/** Connections that each user has, and how many it may have. */
import { brokerError } from '../../model/errors/error_table.js';
import type { BrokerError } from '../../model/errors/errors.js';
import { FdsInFlight } from '../../varlink/fds_in_flight.js';

/** Connections of all users together; perfbrokerd's fd limit leaves room for them. */
export const MAX_CONNECTIONS = 2048;
/** Connections of all clients whose user may have any number of uids: for them a limit for each uid would be no limit. */
const MAX_SHARED_CONNECTIONS = 256;
/** Fds that a user's connections may have been sent and have not read; the kernel counts all users' against this process. */
const MAX_FDS_IN_FLIGHT = 1024;

/** Common to the connections of one user. */
interface UserConnections {
  open: number;
  readonly inFlight: FdsInFlight;
}

/** Permission for one connection, until it is released. */
export interface ConnectionPermit {
  readonly inFlight: FdsInFlight;
  /**
   * Counts the connection against the limit that all clients with any number of uids share. Repeated calls count once.
   * @throws QuotaExceeded
   */
  countAsShared(): void;
  release(): void;
}

export class ConnectionQuota {
  readonly #users = new Map<number, UserConnections>();
  #open = 0;
  #shared = 0;

  /** True while a client is connected, or has left fds in flight that count for its user. */
  get inUse(): boolean {
    return [...this.#users.values()].some(isInUse);
  }

  /**
   * @param limit of this user
   * @throws QuotaExceeded
   */
  acquire(uid: number, limit: number): ConnectionPermit {
    const user = this.#users.get(uid) ?? { open: 0, inFlight: new FdsInFlight(MAX_FDS_IN_FLIGHT) };
    const open = user.open + user.inFlight.lingering;
    if (open >= limit || this.#open >= MAX_CONNECTIONS)
      throw tooMany(`uid ${uid} has ${open} of ${limit} connections, all users ${this.#open} of ${MAX_CONNECTIONS}`);
    user.open += 1;
    this.#open += 1;
    this.#users.set(uid, user);
    let shared = false;
    return {
      inFlight: user.inFlight,
      countAsShared: () => {
        if (!shared) this.#addShared();
        shared = true;
      },
      release: () => {
        if (shared) this.#shared -= 1;
        this.#open -= 1;
        user.open -= 1;
        if (!isInUse(user)) this.#users.delete(uid);
      },
    };
  }

  #addShared(): void {
    if (this.#shared >= MAX_SHARED_CONNECTIONS)
      throw tooMany(
        `clients in user namespaces of their own, or under uids of /etc/subuid, have ${this.#shared} of ${MAX_SHARED_CONNECTIONS} connections`,
      );
    this.#shared += 1;
  }
}

function isInUse({ open, inFlight }: UserConnections): boolean {
  return open > 0 || inFlight.lingering > 0;
}

function tooMany(message: string): BrokerError {
  return brokerError('QuotaExceeded', 'connections', message);
}
