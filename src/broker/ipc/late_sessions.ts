/**
 * The late sessions of one user, whose workers the kernel keeps waiting. The holder of the lock need not be that user, but it
 * controls the target. So a late session costs its user that target, and several of them cost it the targets of that target's owner.
 */
import { NO_OWNER, type About } from '../processes/about.js';

/** Late sessions about targets of one owner after which all of its targets are refused: more processes cost the user no more time. */
export const MAX_LATE_PER_OWNER = 4;

export class LateSessions<Session> {
  readonly #most: number;
  readonly #abouts = new Map<Session, About>();

  /** @param most after so many late sessions everything is refused */
  constructor(most: number) {
    this.#most = most;
  }

  get size(): number {
    return this.#abouts.size;
  }

  get sessions(): readonly Session[] {
    return [...this.#abouts.keys()];
  }

  /** @param about of the request that is late */
  add(session: Session, about: About): void {
    this.#abouts.set(session, about);
  }

  /** Its worker has ended. Returns false when it was not late. */
  delete(session: Session): boolean {
    return this.#abouts.delete(session);
  }

  /**
   * The reason why requests have to be refused, or null.
   * @param abouts all that the next session is going to be about
   */
  refusal(abouts: readonly About[]): string | null {
    const late = [...this.#abouts.values()];
    if (late.length === 0) return null;
    const lateTargets = new Set(late.flatMap(({ targets }) => targets));
    for (const { targets, owner } of abouts) {
      const target = targets.find((name) => lateTargets.has(name));
      if (target !== undefined) return `an earlier request about ${target} has not been finished`;
      const ofOwner = late.filter((about) => about.owner === owner).length;
      if (ofOwner < MAX_LATE_PER_OWNER) continue;
      const whose = owner === NO_OWNER ? 'cpus' : `processes of the user of ${targets.join()}`;
      return `${ofOwner} earlier requests about ${whose} have not been finished`;
    }
    if (late.length < this.#most) return null;
    return `${late.length} earlier requests of this user have not been finished`;
  }
}
