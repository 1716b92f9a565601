import { native, OWN_LANE, type Fd, type LaneUser } from '../native.js';
import { ValidationError } from './validate.js';

/** The fds of one call. Those that nobody takes are closed when the call ends. */
export class FdBag {
  readonly #fds: (Fd | null)[];
  readonly #lane: LaneUser;

  /** @param lane of the user who sent them */
  constructor(fds: readonly Fd[], lane: LaneUser = OWN_LANE) {
    this.#fds = [...fds];
    this.#lane = lane;
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
