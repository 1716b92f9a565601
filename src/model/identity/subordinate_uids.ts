/**
 * uids that subuid(5) lends to users. In a user namespace newuidmap(1) gives their borrower each of them, and a setuid file that
 * is made there gives them outside of it, too: one user is tens of thousands to whoever counts by uid.
 */
import { readFileSync } from 'node:fs';
import type { Subject } from './subject.js';

/** Accounts are read from the file: a directory service may take long to answer. */
const FILES = { subuid: '/etc/subuid', passwd: '/etc/passwd' };

/** The key of all clients for whom a limit for each uid is none, and no account stands for them. No uid is negative. */
export const SHARED_USER = -2;

interface Range {
  /** Name or uid of the user who may use them. */
  readonly borrower: string;
  readonly first: number;
  readonly count: number;
}

export class SubordinateUids {
  readonly #files: typeof FILES;
  #ranges: readonly Range[] = [];
  /** uids of users who have an account, by name. */
  #accounts: ReadonlyMap<string, number> = new Map();
  #accountUids: ReadonlySet<number> = new Set();

  /** Knows none before {@link load}. */
  constructor(files: typeof FILES = FILES) {
    this.#files = files;
  }

  /** @param warn is told why, when the file is there and can not be read; then what was known before stays */
  load(warn: (text: string) => void): void {
    try {
      this.#ranges = parseSubuid(readIfThere(this.#files.subuid));
      this.#accounts = parseAccounts(readIfThere(this.#files.passwd));
      this.#accountUids = new Set(this.#accounts.values());
    } catch (error) {
      warn(`which uids are subordinate ones is not known: ${(error as Error).message}`);
    }
  }

  has(uid: number): boolean {
    return this.#ranges.some((range) => isIn(range, uid));
  }

  /** Whether whoever is behind it may have any number of uids, so that a limit for each uid would be none. */
  mayBeMany({ uid, sameUserNamespace }: Pick<Subject, 'uid' | 'sameUserNamespace'>): boolean {
    return !sameUserNamespace || this.has(uid);
  }

  /**
   * The key under which rates, turns and threads are shared out. A subordinate uid stands for the one user who may use it. A
   * uid in a user namespace of its own stands for itself where it is an account's: no namespace makes accounts. Everything else is
   * {@link SHARED_USER}, as one process may have any number of such uids.
   */
  userOf({ uid, sameUserNamespace }: Pick<Subject, 'uid' | 'sameUserNamespace'>): number {
    const borrowers = this.#ranges.filter((range) => isIn(range, uid)).map(({ borrower }) => this.#accountOf(borrower));
    const [first] = borrowers;
    if (first !== undefined) return borrowers.every((one) => one === first) ? first : SHARED_USER;
    return sameUserNamespace || this.#accountUids.has(uid) ? uid : SHARED_USER;
  }

  #accountOf(borrower: string): number {
    return this.#accounts.get(borrower) ?? (/^\d{1,10}$/.test(borrower) ? Number(borrower) : SHARED_USER);
  }
}

function isIn({ first, count }: Range, uid: number): boolean {
  return uid >= first && uid - first < count;
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

/** passwd(5): names and uids. */
function parseAccounts(text: string): ReadonlyMap<string, number> {
  return new Map(
    text.split('\n').flatMap((line) => {
      const [, name, uid] = /^([^:]+):[^:]*:(\d{1,10}):/.exec(line) ?? [];
      return name === undefined || uid === undefined ? [] : [[name, Number(uid)] as const];
    }),
  );
}

/** `user:first:count` in each line; what is none of these lends nothing. */
export function parseSubuid(text: string): readonly Range[] {
  return text.split('\n').flatMap((line) => {
    const [, borrower, first, count] = /^([^:#]+):(\d{1,10}):(\d{1,10})\s*$/.exec(line) ?? [];
    return borrower === undefined ? [] : [{ borrower, first: Number(first), count: Number(count) }];
  });
}
