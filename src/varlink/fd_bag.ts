import type { Fd } from '../native.js';
import { closeForeignFds } from './close_fds.js';
import { ValidationError } from './validate.js';

/** The fds of one call. Those that nobody takes are closed when the call ends. */
export class FdBag {
  readonly #fds: (Fd | null)[];

  constructor(fds: readonly Fd[]) {
    this.#fds = [...fds];
  }

  /** How many came with the message. */
  get count(): number {
    return this.#fds.length;
  }

  /** How many of them nobody has taken yet. */
  get remaining(): number {
    return this.#fds.filter((fd) => fd !== null).length;
  }

  /**
   * Hands over the fd: the caller closes it from now on.
   * @param parameter the path of the field that held the index, for the error
   * @throws ValidationError when there is no such fd, or it was taken before
   */
  take(index: number, parameter = 'fds'): Fd {
    const fd = Number.isInteger(index) ? this.#fds[index] : undefined;
    if (fd === undefined)
      throw new ValidationError(parameter, `there is no fd ${index} with this message, which carries ${this.count}`);
    if (fd === null) throw new ValidationError(parameter, `fd ${index} is mentioned twice`);
    this.#fds[index] = null;
    return fd;
  }

  /** Closes what nobody took. Idempotent. */
  closeRest(): void {
    const rest = this.#fds.filter((fd) => fd !== null);
    this.#fds.fill(null);
    closeForeignFds(rest);
  }
}
