import type { Limits } from '../types.js';
import { formatBytes } from '../units.js';

/** Quota that one request reserves. */
export interface QuotaAmounts {
  readonly grants: number;
  readonly fds: number;
  readonly ringBytes: number;
}

export interface Reservation {
  readonly ok: true;
  /** Returns the amounts to the user. Needs no `this`; a second call does nothing. */
  readonly release: () => void;
}

export interface QuotaExceeded {
  readonly ok: false;
  /** Code of QuotaExceeded. */
  readonly code: 'grants' | 'fds' | 'ring-bytes';
  readonly asked: number;
  readonly used: number;
  readonly allowed: number;
  readonly text: string;
}

const NOTHING: QuotaAmounts = { grants: 0, fds: 0, ringBytes: 0 };
const KINDS = [
  { field: 'grants', code: 'grants', what: 'grants', format: String },
  { field: 'fds', code: 'fds', what: 'event fds', format: String },
  { field: 'ringBytes', code: 'ring-bytes', what: 'bytes of ring', format: formatBytes },
] as const;

/**
 * Amounts that each uid holds in all its grants, regardless of the rules that allowed them. The limits are those of the rule
 * that allows the new grant. Memory: one entry for each uid with a grant.
 */
export class Quota {
  private readonly used = new Map<number, QuotaAmounts>();

  /** Reserves all of `amounts` or nothing. @throws RangeError for an amount that is not a whole number from 0 on: a bug */
  reserve(
    uid: number,
    amounts: QuotaAmounts,
    limits: Pick<Limits, 'grants' | 'fds' | 'ringBytes'>,
  ): Reservation | QuotaExceeded {
    const used = this.usage(uid);
    for (const { field, code, what, format } of KINDS) {
      const asked = amounts[field];
      const allowed = limits[field];
      if (!Number.isSafeInteger(asked) || asked < 0) throw new RangeError(`quota: ${asked} ${what}`);
      // An amount of 0 always succeeds, even after a reload lowered the limit below the held amount.
      if (asked === 0 || used[field] + asked <= allowed) continue;
      const text = `uid ${uid} holds ${format(used[field])} ${what}; ${format(asked)} more would exceed ${format(allowed)}`;
      return { ok: false, code, asked, used: used[field], allowed, text };
    }
    this.add(uid, amounts, 1);
    let held = true;
    const release = (): void => {
      if (held) this.add(uid, amounts, -1);
      held = false;
    };
    return { ok: true, release };
  }

  usage(uid: number): QuotaAmounts {
    return this.used.get(uid) ?? NOTHING;
  }

  /** Number of uids with a grant. */
  get size(): number {
    return this.used.size;
  }

  private add(uid: number, amounts: QuotaAmounts, sign: 1 | -1): void {
    const used = this.usage(uid);
    const next = {
      grants: used.grants + sign * amounts.grants,
      fds: used.fds + sign * amounts.fds,
      ringBytes: used.ringBytes + sign * amounts.ringBytes,
    };
    if (next.grants === 0 && next.fds === 0 && next.ringBytes === 0) this.used.delete(uid);
    else this.used.set(uid, next);
  }
}
