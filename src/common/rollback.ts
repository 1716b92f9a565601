import './disposable.js';

/**
 * Releases a resource at the end of the scope, unless {@link keep} was called before. For a function that creates a resource and hands
 * it on, or owns it only until its last step:
 *
 *     using pin = new Rollback(() => native.close(fd));
 *     check(fd);
 *     pin.keep();
 *     return fd;
 */
export class Rollback implements Disposable {
  #release: (() => void) | null;

  constructor(release: () => void) {
    this.#release = release;
  }

  /** The resource has a new owner. */
  keep(): void {
    this.#release = null;
  }

  [Symbol.dispose](): void {
    const release = this.#release;
    this.#release = null;
    release?.();
  }
}
