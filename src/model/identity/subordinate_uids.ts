/**
 * Uids that subuid(5) lends to users. In a user namespace newuidmap(1) gives the borrower each of them, and a setuid file created
 * there also gives them outside of it. One user can thus have tens of thousands of uids, which a limit for each uid must not count
 * as users.
 */
import { readFileSync } from 'node:fs';
import type { Subject } from './subject.js';

/** Accounts are read from the file: a directory service may take long to answer. */
const FILES = { subuid: '/etc/subuid', passwd: '/etc/passwd' };

/** Key of all clients whose uid does not identify one user and belongs to no account. No uid is negative. */
export const SHARED_USER = -2;

interface Range {
  /** Name or uid of the user that may use them. */
  readonly borrower: string;
  readonly first: number;
  readonly count: number;
}

export class SubordinateUids {
  readonly #files: typeof FILES;
  #ranges: readonly Range[] = [];
  /** Uids of accounts, by name. */
  #accounts: ReadonlyMap<string, number> = new Map();
  #accountUids: ReadonlySet<number> = new Set();

  /** Knows none before {@link load}. */
  constructor(files: typeof FILES = FILES) {
    this.#files = files;
  }

  /** @param warn receives the reason when a file exists and cannot be read; the earlier ranges then stay in force */
  load(warn: (text: string) => void): void {
    try {
      this.#ranges = parseSubuid(readIfThere(this.#files.subuid));
      this.#accounts = parseAccounts(readIfThere(this.#files.passwd));
      this.#accountUids = new Set(this.#accounts.values());
    } catch (error) {
      warn(`cannot read the subordinate uids: ${(error as Error).message}`);
    }
  }

  has(uid: number): boolean {
    return this.#ranges.some((range) => isIn(range, uid));
  }

  /** @returns whether the user of a uid may have any number of uids, so that a limit for each uid would be no limit */
  mayBeMany({ uid, sameUserNamespace }: Pick<Subject, 'uid' | 'sameUserNamespace'>): boolean {
    return !sameUserNamespace || this.has(uid);
  }

  /**
   * Key under which rates, turns and threads are counted. A subordinate uid counts as the one user that may use it. A uid in a user
   * namespace of its own counts as itself if it belongs to an account: a namespace cannot create accounts. Every other uid counts as
   * {@link SHARED_USER}, because one process may have any number of such uids.
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

/** Names and uids of passwd(5). */
function parseAccounts(text: string): ReadonlyMap<string, number> {
  return new Map(
    text.split('\n').flatMap((line) => {
      const [, name, uid] = /^([^:]+):[^:]*:(\d{1,10}):/.exec(line) ?? [];
      return name === undefined || uid === undefined ? [] : [[name, Number(uid)] as const];
    }),
  );
}

/** Ranges of lines `user:first:count`; other lines are ignored. */
export function parseSubuid(text: string): readonly Range[] {
  return text.split('\n').flatMap((line) => {
    const [, borrower, first, count] = /^([^:#]+):(\d{1,10}):(\d{1,10})\s*$/.exec(line) ?? [];
    return borrower === undefined ? [] : [{ borrower, first: Number(first), count: Number(count) }];
  });
}
