/** Connections that each user has, and how many it may have. */
import { brokerError } from '../../model/errors/error_table.js';
import type { BrokerError } from '../../model/errors/errors.js';
import { FdsInFlight } from '../../varlink/fds_in_flight.js';

/** Connections of all users together; perfbrokerd's fd limit leaves room for them. */
export const MAX_CONNECTIONS = 2048;
/** Connections of all clients whose user may have any number of uids, so that a limit for each uid would be none. */
const MAX_SHARED_CONNECTIONS = 256;
/** Fds that one user's connections may have been sent and not have read; the kernel counts all users' against us. */
const MAX_FDS_IN_FLIGHT = 1024;

/** Common to the connections of one user. */
interface UserShare {
  open: number;
  readonly inFlight: FdsInFlight;
}

/** The place of one connection. */
export interface Place {
  readonly inFlight: FdsInFlight;
  /**
   * Takes one of the places that all clients with any number of uids share. Repeated calls take no more.
   * @throws QuotaExceeded
   */
  share(): void;
  leave(): void;
}

export class Places {
  readonly #users = new Map<number, UserShare>();
  #open = 0;
  #shared = 0;

  /** True while a client is connected, or has left fds in flight that count for its user. */
  get occupied(): boolean {
    return [...this.#users.values()].some(isOccupied);
  }

  /**
   * @param limit of this user
   * @throws QuotaExceeded
   */
  enter(uid: number, limit: number): Place {
    const share = this.#users.get(uid) ?? { open: 0, inFlight: new FdsInFlight(MAX_FDS_IN_FLIGHT) };
    const open = share.open + share.inFlight.lingering;
    if (open >= limit || this.#open >= MAX_CONNECTIONS)
      throw noPlace(`uid ${uid} has ${open} of ${limit} connections, all users ${this.#open} of ${MAX_CONNECTIONS}`);
    share.open += 1;
    this.#open += 1;
    this.#users.set(uid, share);
    let shares = false;
    return {
      inFlight: share.inFlight,
      share: () => {
        if (!shares) this.#enterShared();
        shares = true;
      },
      leave: () => {
        if (shares) this.#shared -= 1;
        this.#open -= 1;
        share.open -= 1;
        if (!isOccupied(share)) this.#users.delete(uid);
      },
    };
  }

  #enterShared(): void {
    if (this.#shared >= MAX_SHARED_CONNECTIONS)
      throw noPlace(
        `clients in user namespaces of their own, or under uids of /etc/subuid, have ${this.#shared} of ${MAX_SHARED_CONNECTIONS} connections`,
      );
    this.#shared += 1;
  }
}

function isOccupied({ open, inFlight }: UserShare): boolean {
  return open > 0 || inFlight.lingering > 0;
}

function noPlace(message: string): BrokerError {
  return brokerError('QuotaExceeded', 'connections', message);
}
