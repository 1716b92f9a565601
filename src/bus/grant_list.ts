import type { Grant } from '../varlink/broker_types.js';
import type { BrokerCalls } from './broker_calls.js';
import type { Caller } from './callers.js';

/** Who sees a grant: the user it was made for, and root. Nobody learns of others' grants. */
export function maySee(uid: number, grant: Pick<Grant, 'uid'>): boolean {
  return uid === grant.uid || uid === 0;
}

/** Grants as the broker lists them for a caller, afresh each time: ages and rings change. */
export class GrantList {
  readonly #broker: BrokerCalls;

  constructor(broker: BrokerCalls) {
    this.#broker = broker;
  }

  async visibleTo(caller: Caller): Promise<readonly Grant[]> {
    const reply = await this.#broker.onBehalf(caller, 'ListGrants', caller.uid === 0 ? { all: true } : {});
    // The broker decides what it lists; a fault there would still show nobody somebody else's.
    return (reply['grants'] as readonly Grant[]).filter((grant) => maySee(caller.uid, grant));
  }
}
