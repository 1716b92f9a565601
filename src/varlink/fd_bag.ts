import { native, OWN_LANE, type Fd, type LaneUser } from '../native.js';
import { ValidationError } from './validate.js';

/** The fds of one call. Fds that the handler does not take are closed when the call ends. */
export class FdBag {
  readonly #fds: (Fd | null)[];
  readonly #lane: LaneUser;

  /** @param lane lane of the user who sent them */
  constructor(fds: readonly Fd[], lane: LaneUser = OWN_LANE) {
    this.#fds = [...fds];
    this.#lane = lane;
  }

  /** Number of fds that came with the message. */
  get count(): number {
    return this.#fds.length;
  }

  /** Number of fds that were not taken yet. */
  get remaining(): number {
    return this.#fds.filter((fd) => fd !== null).length;
  }

  /**
   * Hands over the fd, which the caller must close.
   * @param parameter path of the field that held the index, for the error
   * @throws ValidationError when the index has no fd, or its fd was already taken
   */
  take(index: number, parameter = 'fds'): Fd {
    const fd = Number.isInteger(index) ? this.#fds[index] : undefined;
    if (fd === undefined)
      throw new ValidationError(parameter, `this message has no fd ${index}: it carries ${this.count}`);
    if (fd === null) throw new ValidationError(parameter, `fd ${index} is used twice`);
    this.#fds[index] = null;
    return fd;
  }

  /** Closes an fd that was taken. */
  close(fd: Fd): void {
    native.closeForeign(this.#lane, [fd]);
  }

  /** Closes the fds that were not taken. Idempotent. */
  closeRest(): void {
    const rest = this.#fds.filter((fd) => fd !== null);
    this.#fds.fill(null);
    native.closeForeign(this.#lane, rest);
  }
}
