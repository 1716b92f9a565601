/**
 * uids that subuid(5) lends to users. In a user namespace newuidmap(1) gives their borrower each of them, and a setuid file that
 * is made there gives them outside of it, too: one user is tens of thousands to whoever counts by uid.
 */
import { readFileSync } from 'node:fs';
import type { Subject } from './subject.js';

const FILE = '/etc/subuid';

/** The key of all clients for whom a limit for each uid is none. No uid is negative. */
export const SHARED_USER = -2;

interface Range {
  readonly first: number;
  readonly count: number;
}

export class SubordinateUids {
  #ranges: readonly Range[] = [];

  /** @param warn is told why, when the file is there and can not be read; then what was known before stays */
  load(warn: (text: string) => void): void {
    try {
      this.#ranges = readRanges();
    } catch (error) {
      warn(`which uids are subordinate ones is not known: ${(error as Error).message}`);
    }
  }

  has(uid: number): boolean {
    return this.#ranges.some(({ first, count }) => uid >= first && uid - first < count);
  }

  /** Whether whoever is behind it may have any number of uids, so that a limit for each uid would be none. */
  mayBeMany({ uid, sameUserNamespace }: Pick<Subject, 'uid' | 'sameUserNamespace'>): boolean {
    return !sameUserNamespace || this.has(uid);
  }

  /** The key under which turns and threads are shared out: the uid, or {@link SHARED_USER} for one user with many uids. */
  userOf(subject: Pick<Subject, 'uid' | 'sameUserNamespace'>): number {
    return this.mayBeMany(subject) ? SHARED_USER : subject.uid;
  }
}

function readRanges(): readonly Range[] {
  try {
    return parseSubuid(readFileSync(FILE, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** `user:first:count` in each line; what is none of these lends nothing. */
export function parseSubuid(text: string): readonly Range[] {
  return text.split('\n').flatMap((line) => {
    const [, first, count] = /^[^:#]+:(\d{1,10}):(\d{1,10})\s*$/.exec(line) ?? [];
    return first === undefined ? [] : [{ first: Number(first), count: Number(count) }];
  });
}
