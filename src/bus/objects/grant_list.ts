import { BrokerError } from '../../model/errors/errors.js';
import type { Grant } from '../../interfaces/broker_types.js';
import type { BrokerCalls } from '../broker/broker_calls.js';
import type { Caller } from '../callers/callers.js';

/**
 * Visibility of grants: the user who owns a grant and administrators see it, other users do not. The broker decides who is an
 * administrator: root is one only with the full capabilities, which root in a container does not have.
 */
export class GrantList {
  readonly #broker: BrokerCalls;
  readonly #administrators = new WeakMap<Caller, Promise<boolean>>();

  constructor(broker: BrokerCalls) {
    this.#broker = broker;
  }

  /** Returns the grants that the caller may see. Not cached, because ages and rings change. */
  async visibleTo(caller: Caller): Promise<readonly Grant[]> {
    const all = caller.uid === 0 && (await this.isAdministrator(caller));
    const reply = await this.#broker.onBehalf(caller, 'ListGrants', all ? { all } : {});
    // The broker has filtered already. This filter is a second barrier against a fault there.
    return (reply['grants'] as readonly Grant[]).filter(({ uid }) => all || uid === caller.uid);
  }

  /** Returns whether the caller is an administrator: one call of the broker per root caller. False when the broker does not reply. */
  isAdministrator(caller: Caller): Promise<boolean> {
    if (caller.uid !== 0) return Promise.resolve(false);
    const known = this.#administrators.get(caller);
    if (known !== undefined) return known;
    const answer = this.#broker.onBehalf(caller, 'ListGrants', { all: true }).then(
      () => true,
      (error: unknown) => {
        // A denial is cached as well; an unreachable broker is not.
        if (!(error instanceof BrokerError && error.error === 'PolicyDenied')) this.#administrators.delete(caller);
        return false;
      },
    );
    this.#administrators.set(caller, answer);
    return answer;
  }
}
