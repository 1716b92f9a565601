/**
 * Late sessions of one user: the kernel keeps their workers waiting for a lock. The holder of the lock need not be that user, but it controls
 * the target. So a late session costs its user that target, and several of them cost it all targets of that target's owner.
 */
import { NO_OWNER, type LockScope } from './lock_scope.js';

/** Late sessions about targets of one owner after which all of its targets are refused: more processes cost the user no more time. */
export const MAX_LATE_PER_OWNER = 4;

export class LateSessions<Session> {
  readonly #most: number;
  readonly #scopes = new Map<Session, LockScope>();

  /** @param most number of late sessions after which all requests are refused */
  constructor(most: number) {
    this.#most = most;
  }

  get size(): number {
    return this.#scopes.size;
  }

  get sessions(): readonly Session[] {
    return [...this.#scopes.keys()];
  }

  /** @param scope of the request that is late */
  add(session: Session, scope: LockScope): void {
    this.#scopes.set(session, scope);
  }

  /** Its worker has ended. Does nothing when it was not late. */
  delete(session: Session): void {
    this.#scopes.delete(session);
  }

  /**
   * The reason why requests have to be refused, or null.
   * @param scopes those of all requests of the next session
   */
  refusal(scopes: readonly LockScope[]): string | null {
    const late = [...this.#scopes.values()];
    if (late.length === 0) return null;
    const lateTargets = new Set(late.flatMap(({ targets }) => targets));
    for (const { targets, owner } of scopes) {
      const target = targets.find((name) => lateTargets.has(name));
      if (target !== undefined) return `an earlier request about ${target} has not been finished`;
      const ofOwner = late.filter((scope) => scope.owner === owner).length;
      if (ofOwner < MAX_LATE_PER_OWNER) continue;
      const whose = owner === NO_OWNER ? 'cpus' : `processes of the user of ${targets.join()}`;
      return `${ofOwner} earlier requests about ${whose} have not been finished`;
    }
    if (late.length < this.#most) return null;
    return `${late.length} earlier requests of this user have not been finished`;
  }
}
