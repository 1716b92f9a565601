import { brokerError } from '../../model/errors/error_table.js';
import type { Quota, Reservation } from '../../policy/quota/quota.js';
import type { Limits } from '../../policy/types.js';
import type { PremapLimit } from './premap_limit.js';

/** What a request opens, in fds and in rings that are mapped in advance. */
export interface Usage {
  readonly fds: number;
  readonly rings: number;
}

/** Of all users. */
export interface Quotas {
  readonly quota: Quota;
  readonly premapLimit: PremapLimit;
}

/**
 * What one request takes of its user's quotas: before anything is opened as much as can be told then, and more for threads that
 * are born meanwhile. The rings' part comes back apart from the rest: when they are gone, which may be long after the grant.
 */
export class QuotaReservation {
  readonly #quotas: Quotas;
  readonly #uid: number;
  readonly #limits: Limits;
  /** Of each ring. */
  readonly #ringBytes: number;
  readonly #grant: Reservation[] = [];
  readonly #rings: Reservation[] = [];
  #held: Usage = { fds: 0, rings: 0 };
  #premapped = 0;
  #ringsGone: Promise<void> = Promise.resolve();

  /** Holds nothing yet. */
  constructor(quotas: Quotas, uid: number, limits: Limits, ringBytes: number) {
    this.#quotas = quotas;
    this.#uid = uid;
    this.#limits = limits;
    this.#ringBytes = ringBytes;
  }

  /** Bytes of all rings that are accounted for. */
  get ringBytes(): number {
    return this.#held.rings * this.#ringBytes;
  }

  /** Takes a grant of so much. @throws QuotaExceeded; what was taken before it stays until {@link release} */
  reserveGrant(usage: Usage): void {
    this.#grant.push(this.#reserve({ grants: 1, fds: 0, ringBytes: 0 }));
    this.growTo(usage);
  }

  /** Takes what is missing to so much. @throws QuotaExceeded; what was held before stays */
  growTo({ fds, rings }: Usage): void {
    const more = { fds: Math.max(0, fds - this.#held.fds), rings: Math.max(0, rings - this.#held.rings) };
    if (more.rings > 0) {
      this.#quotas.premapLimit.acquire(this.#uid, more.rings);
      this.#premapped += more.rings;
      this.#rings.push(this.#reserve({ grants: 0, fds: 0, ringBytes: more.rings * this.#ringBytes }));
      this.#held = { ...this.#held, rings };
    }
    if (more.fds > 0) {
      this.#grant.push(this.#reserve({ grants: 0, fds: more.fds, ringBytes: 0 }));
      this.#held = { ...this.#held, fds };
    }
  }

  /** The opener is told to let go of its mappings. */
  readonly releasePremapped = (): void => {
    this.#quotas.premapLimit.release(this.#uid, this.#premapped);
    this.#premapped = 0;
  };

  readonly releaseGrant = (): void => {
    for (const reservation of this.#grant) reservation.release();
  };

  readonly releaseRings = (): void => {
    for (const reservation of this.#rings) reservation.release();
  };

  /** The reservation of rings comes back when these are gone as well. */
  awaitRings(gone: Promise<void>): void {
    this.#ringsGone = Promise.all([this.#ringsGone, gone]).then(() => undefined);
  }

  /** Gives everything back that has not been yet. */
  release(): void {
    this.releasePremapped();
    this.releaseGrant();
    void this.#ringsGone.then(this.releaseRings);
  }

  #reserve(amounts: { readonly grants: number; readonly fds: number; readonly ringBytes: number }): Reservation {
    const reserved = this.#quotas.quota.reserve(this.#uid, amounts, this.#limits);
    if (reserved.ok) return reserved;
    throw brokerError('QuotaExceeded', reserved.code, reserved.text);
  }
}
