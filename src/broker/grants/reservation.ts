import { brokerError } from '../../model/errors/error_table.js';
import type { Quota, Reservation } from '../../policy/quota/quota.js';
import type { Limits } from '../../policy/types.js';
import type { PremapLimit } from './premap_limit.js';

/** Fds that a request opens, and rings that are mapped in advance for it. */
export interface Usage {
  readonly fds: number;
  readonly rings: number;
}

/** Quotas of all users. */
export interface Quotas {
  readonly quota: Quota;
  readonly premapLimit: PremapLimit;
}

/**
 * Quota reserved by one request. The first estimate is reserved before opening and grows when a scan finds new threads. Rings are returned
 * apart from the rest, when they are gone: that may be long after the grant.
 */
export class QuotaReservation {
  readonly #quotas: Quotas;
  readonly #uid: number;
  readonly #limits: Limits;
  /** Size of each ring. */
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

  /** Bytes of all reserved rings. */
  get ringBytes(): number {
    return this.#held.rings * this.#ringBytes;
  }

  /** Reserves a grant and its first estimate. @throws QuotaExceeded: what was reserved before it stays until {@link release} */
  reserveGrant(usage: Usage): void {
    this.#grant.push(this.#reserve({ grants: 1, fds: 0, ringBytes: 0 }));
    this.growTo(usage);
  }

  /** Reserves the difference to what is held. @throws QuotaExceeded: what was held before stays */
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

  /** To be called when the opener has been asked to unmap its rings. */
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

  /** Delays the return of rings until these are gone also. */
  awaitRings(gone: Promise<void>): void {
    this.#ringsGone = Promise.all([this.#ringsGone, gone]).then(() => undefined);
  }

  /** Returns everything that has not been returned yet. */
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
