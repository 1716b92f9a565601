import { BrokerError } from '../../model/errors/errors.js';
import type { Grant } from '../../interfaces/broker_types.js';
import type { BrokerCalls } from '../broker/broker_calls.js';
import type { Caller } from '../callers/callers.js';

/**
 * Who sees a grant: the user it was made for, and administrators. Nobody else learns of it. Who is an administrator the
 * broker says: root is one only with the capabilities that go with it, which root in a container has not.
 */
export class GrantList {
  readonly #broker: BrokerCalls;
  readonly #administrators = new WeakMap<Caller, Promise<boolean>>();

  constructor(broker: BrokerCalls) {
    this.#broker = broker;
  }

  /** As the broker lists them for the caller, afresh each time: ages and rings change. */
  async visibleTo(caller: Caller): Promise<readonly Grant[]> {
    const all = caller.uid === 0 && (await this.isAdministrator(caller));
    const reply = await this.#broker.onBehalf(caller, 'ListGrants', all ? { all } : {});
    // The broker decides what it lists; a fault there would still show nobody somebody else's.
    return (reply['grants'] as readonly Grant[]).filter(({ uid }) => all || uid === caller.uid);
  }

  /** Asked once for each root that has called. False when the broker can not say. */
  isAdministrator(caller: Caller): Promise<boolean> {
    if (caller.uid !== 0) return Promise.resolve(false);
    const known = this.#administrators.get(caller);
    if (known !== undefined) return known;
    const answer = this.#broker.onBehalf(caller, 'ListGrants', { all: true }).then(
      () => true,
      (error: unknown) => {
        // A no is remembered as well as a yes; that the broker can not say is not: it may the next time.
        if (!(error instanceof BrokerError && error.error === 'PolicyDenied')) this.#administrators.delete(caller);
        return false;
      },
    );
    this.#administrators.set(caller, answer);
    return answer;
  }
}
