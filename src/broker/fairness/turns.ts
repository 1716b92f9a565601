/**
 * Long requests yield to the event loop and wait here for their next turn. One request goes on in each pass of the loop, so other clients
 * wait for one turn and not for all requests under way. Users take turns.
 */
export class Turns {
  /** In the order in which the users are served. */
  readonly #waiting = new Map<number, (() => void)[]>();
  #scheduled = false;

  /** Resolves in a later pass of the event loop. */
  next(user: number): Promise<void> {
    return new Promise((resolve) => {
      const queue = this.#waiting.get(user);
      if (queue === undefined) this.#waiting.set(user, [resolve]);
      else queue.push(resolve);
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#scheduled || this.#waiting.size === 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#serve();
      this.#schedule();
    });
  }

  /** The map keeps the order of insertion: a served user goes to its end. */
  #serve(): void {
    for (const [user, queue] of this.#waiting) {
      this.#waiting.delete(user);
      const resolve = queue.shift();
      if (queue.length > 0) this.#waiting.set(user, queue);
      return resolve?.();
    }
  }
}
